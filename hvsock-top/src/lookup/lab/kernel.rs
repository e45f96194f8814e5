//! The kernel's side: loads the programs, runs batches, says what went wrong.

use std::{fs, io};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData},
    programs::{SocketFilter, TestRun as _, TestRunOptions},
};
use hvsock_common::{LAB_END, LabKey};

use super::{Structure, memory::Memory};
use crate::kernel::{raise_memlock, words};

/// The programs, built by `cargo xtask build-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/lab.bpf.o");

/// Whether the kernel compiles BPF programs.
const JIT: &str = "/proc/sys/net/core/bpf_jit_enable";

/// `ENOTSUPP`, which the kernel returns to user space although it is none of its numbers.
const ENOTSUPP: i32 = 524;

/// Why the laboratory cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Not enough privilege.
    #[error("not permitted to {action}: {reason}")]
    NotPermitted {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The kernel cannot do it.
    #[error("this kernel cannot {action}: {reason}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// A batch was not done after as many runs as theory says.
    #[error("{program}: {done} of {wanted} lookups done after {runs} runs")]
    Unfinished {
        /// The program.
        program: &'static str,
        /// Lookups done.
        done: u32,
        /// Lookups wanted.
        wanted: u32,
        /// Runs.
        runs: u32,
    },
    /// The maps cannot be used from here.
    #[error("the memory of the laboratory cannot be mapped: {0}")]
    Memory(#[from] io::Error),
}

impl LabError {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotPermitted { .. } => {
                "run as root, or allow it once with `setcap cap_bpf,cap_perfmon+ep hvsock-top`"
            }
            Self::Kernel { .. } => {
                "it takes BPF programs with loops (Linux 5.5 or later) and BPF_PROG_TEST_RUN, which CONFIG_NET brings"
            }
            Self::Unfinished { .. } => "this should not happen; please report it with the kernel version",
            Self::Memory(_) => "check the limits on memory (ulimit -v, cgroup); it takes 22 MB",
        }
    }

    /// Whether more privilege would help (exit code 3 instead of 4).
    pub fn is_privilege(&self) -> bool {
        matches!(self, Self::NotPermitted { .. })
    }

    fn of(action: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut number = None;
        let mut cause = Some(error);
        while let Some(e) = cause {
            number = number.or(e.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error));
            cause = e.source();
        }
        let reason = if number == Some(ENOTSUPP) { "it has no such operation".into() } else { words(error) };
        match number {
            Some(libc::EPERM | libc::EACCES) => Self::NotPermitted { action, reason },
            _ => Self::Kernel { action, reason },
        }
    }
}

/// The program of a structure; of none: everything but the walk.
const fn program(structure: Option<Structure>) -> &'static str {
    match structure {
        None => "lab_empty",
        Some(Structure::ListByGuid) => "lab_guid",
        Some(Structure::ListByChannel) => "lab_channel",
        Some(Structure::Hash251) => "lab_bucket",
        Some(Structure::HashGrowing) => "lab_grown",
        Some(Structure::Pointer) => "lab_pointer",
    }
}

/// What a batch came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Nanoseconds from the first lookup's begin to the last one's end, the runs in between included.
    pub(super) ns: f64,
    /// Nodes visited.
    pub(super) visited: u64,
    /// Lookups that found something.
    pub(super) found: u64,
}

/// The loaded programs.
pub(super) struct Kernel {
    ebpf: Ebpf,
    /// Their memory.
    pub(super) memory: Memory,
    /// Whether the programs are compiled, where the kernel says.
    pub(super) jit: Option<bool>,
}

impl Kernel {
    /// Loads everything; attaches nothing.
    pub(super) fn load() -> Result<Self, LabError> {
        raise_memlock();
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .load(OBJECT)
            .map_err(|error| LabError::of("create BPF maps", &error))?;
        let mut jit = false;
        for structure in std::iter::once(None).chain(Structure::ALL.map(Some)) {
            let name = program(structure);
            let missing =
                || LabError::Kernel { action: "load BPF programs", reason: format!("no program {name}") };
            let filter: &mut SocketFilter = ebpf
                .program_mut(name)
                .ok_or_else(missing)?
                .try_into()
                .map_err(|error| LabError::of("load BPF programs", &error))?;
            filter.load().map_err(|error| LabError::of("load BPF programs", &error))?;
            jit = jit || filter.info().is_ok_and(|info| info.size_jitted() > 0);
        }
        // The kernel tells the size only to those whom it shows addresses.
        let switched_off = || fs::read_to_string(JIT).ok().filter(|text| text.trim() == "0").map(|_| false);
        let jit = if jit { Some(true) } else { switched_off() };
        let memory = Memory::of_maps(|name| data(&ebpf, name))?;
        Ok(Self { ebpf, memory, jit })
    }

    /// Writes what is to be looked for.
    pub(super) fn set_keys(&mut self, keys: &[LabKey]) {
        for (at, key) in (0..).zip(keys) {
            self.memory.keys.change(at, |old| *old = *key);
        }
    }

    /// Makes the first `lookups` lookups, in `runs` runs of the structure's program, which must be neither too few nor too many.
    pub(super) fn batch(
        &mut self,
        structure: Option<Structure>,
        lookups: u32,
        runs: u32,
    ) -> Result<Batch, LabError> {
        let name = program(structure);
        let failed = |error: &(dyn std::error::Error + 'static)| LabError::of("run a BPF program", error);
        let filter: &SocketFilter =
            self.ebpf.program(name).expect("loaded above").try_into().map_err(|e| failed(&e))?;
        // A packet of the smallest size that the kernel takes; nobody looks at it.
        let packet = [0u8; 64];
        let before = loop {
            let before = self.memory.state.read(0);
            self.memory.state.change(0, |state| {
                (state.cursor, state.length, state.at) = (0, lookups, LAB_END);
                (state.begin_ns, state.end_ns) = (0, 0);
                (state.visited, state.found) = (0, 0);
            });
            let options = TestRunOptions { data_in: Some(&packet), repeat: runs, ..TestRunOptions::new() };
            match filter.test_run(options) {
                Ok(_) => break before,
                // By a signal. Whether it says to stop is asked before the next round; this one begins again.
                Err(error) if is_interruption(&error) => {}
                Err(error) => return Err(failed(&error)),
            }
        };
        let state = self.memory.state.read(0);
        let done =
            u64::from(runs) == state.runs - before.runs && state.cursor == lookups && state.end_ns != 0;
        if !done {
            return Err(LabError::Unfinished { program: name, done: state.cursor, wanted: lookups, runs });
        }
        let ns = state.end_ns.saturating_sub(state.begin_ns) as f64;
        Ok(Batch { ns, visited: state.visited, found: state.found })
    }
}

/// Whether a signal ended a run half way.
fn is_interruption(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::Interrupted)
}

fn data<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, LabError> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(LabError::Kernel { action: "create BPF maps", reason: format!("no map {name}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i32) -> LabError {
        LabError::of("run a BPF program", &io::Error::from_raw_os_error(number))
    }

    #[test]
    fn what_the_kernel_refuses_is_not_what_it_cannot_do() {
        assert!(of(libc::EPERM).is_privilege());
        assert!(of(libc::EACCES).is_privilege());
        assert!(!of(libc::EINVAL).is_privilege());
        let cannot = of(ENOTSUPP);
        assert!(!cannot.is_privilege());
        assert_eq!(cannot.to_string(), "this kernel cannot run a BPF program: it has no such operation");
    }
}
