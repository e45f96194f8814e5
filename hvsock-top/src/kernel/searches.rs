//! Counting the nodes that lookups of AF_HYPERV go past, where that was asked for: each walk is made twice then, under the module's mutex.

use std::fs;

use aya::{
    Ebpf, EbpfLoader, GlobalData,
    maps::{Map, MapData},
    programs::KProbe,
};
use hvsock_common::{Search, Searched};

use super::{
    Family, LoadOptions, Mapped, Symbols, TypeInfo,
    sys::raise_memlock,
    tables::{self, BUCKETS, OBJECT},
    verdict::words,
};

/// How the module was loaded.
const PARAMETER: &str = "/sys/module/af_hyperv/parameters/lookup";

/// The programs, and the functions at whose entry each goes the same way.
const PROGRAMS: [(&str, &str); 2] = [
    ("search_bound", "hvsock_find_bound_socket"),
    ("search_connected", "hvsock_find_connected_socket_by_channel"),
];

/// The attached programs. Dropping it detaches them.
pub struct Searches {
    _ebpf: Ebpf,
    searched: Mapped<Searched>,
}

impl Searches {
    /// Attaches them; the error says why not.
    pub(super) fn attach(
        options: &LoadOptions,
        symbols: &Symbols,
        types: &TypeInfo,
        family: Family,
    ) -> Result<Self, String> {
        if family != Family::AfHyperv {
            return Err(
                "only AF_HYPERV's lookups can be counted: vsock's lock is not held when they begin".into()
            );
        }
        if !options.count_nodes {
            return Err("not asked for (--count-nodes)".into());
        }
        let search = places(symbols, types)?;
        raise_memlock();
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .override_global("SEARCH", GlobalData::from(bytemuck::bytes_of(&search)), true)
            .load(OBJECT)
            .map_err(|error| words(&error))?;
        let map: &MapData = match ebpf.map("SEARCHED") {
            Some(Map::Array(map)) => map,
            _ => return Err("the object has no map".into()),
        };
        let searched = Mapped::new(map, PROGRAMS.len()).map_err(|error| words(&error))?;
        for (name, function) in PROGRAMS {
            let program: &mut KProbe = ebpf
                .program_mut(name)
                .ok_or_else(|| format!("the object has no program {name}"))?
                .try_into()
                .map_err(|error: aya::programs::ProgramError| words(&error))?;
            program.load().map_err(|error| words(&error))?;
            program.attach(function, 0).map_err(|error| words(&error))?;
        }
        Ok(Self { _ebpf: ebpf, searched })
    }

    /// What the searches of the bound sockets came to, and of the connected ones.
    pub fn read(&self) -> [Searched; 2] {
        [0, 1].map(|table| self.searched.read(table))
    }
}

/// Where the tables are, what lies where in a socket, and how the module searches.
fn places(symbols: &Symbols, types: &TypeInfo) -> Result<Search, String> {
    let (bound, connected) =
        tables::addresses(symbols, Family::AfHyperv).map_err(|error| error.to_string())?;
    let offset = |path: &str| {
        types.offset(path).map(u64::from).ok_or_else(|| format!("this kernel's types do not have {path}"))
    };
    let mode = fs::read_to_string(PARAMETER).map_err(|error| format!("cannot read {PARAMETER}: {error}"))?;
    let (buckets, by_pointer) =
        way(mode.trim()).ok_or_else(|| format!("{PARAMETER} is {mode:?}, which is not known"))?;
    Ok(Search {
        bound,
        connected,
        buckets,
        by_pointer: by_pointer.into(),
        bound_node: offset("hvsock_sock.bound_node")?,
        connected_node: offset("hvsock_sock.connected_node")?,
        service: offset("hvsock_sock.local_addr.shv_service_guid")?,
        pipe: offset("hvsock_sock.pipe")?,
        channel: offset("hvsock_pipe.channel")?,
        relid: offset("vmbus_channel.offermsg.child_relid")?,
    })
}

/// The buckets in use, and whether connected sockets are kept with the channel.
fn way(mode: &str) -> Option<(u64, bool)> {
    match mode {
        "list" => Some((1, false)),
        "hash" => Some((BUCKETS as u64, false)),
        "pointer" => Some((BUCKETS as u64, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_search_is_known_and_no_other() {
        assert_eq!(way("list"), Some((1, false)));
        assert_eq!(way("hash"), Some((251, false)));
        assert_eq!(way("pointer"), Some((251, true)));
        assert_eq!(way("tree"), None);
    }
}
