//! What happened at each port.

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{HashMap, MapData};
use hvsock_common::{CONNECT_RESULTS, OPEN_RESULTS, PortKey, PortRecord};

use super::connections::direction;
use crate::{kernel::Loaded, model::Port};

/// Key of the port table, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Key(PortKey);
// SAFETY: plain numbers without padding.
unsafe impl aya::Pod for Key {}

/// Value of the port table, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Value(PortRecord);
// SAFETY: plain numbers without padding.
unsafe impl aya::Pod for Value {}

/// Reads the port table.
pub(super) fn read(loaded: &Loaded) -> Result<Vec<(PortKey, PortRecord)>> {
    let map = loaded.ebpf.map("PORTS").ok_or_else(|| anyhow!("the object has no map PORTS"))?;
    let map: HashMap<&MapData, Key, Value> = HashMap::try_from(map)?;
    let mut ports = Vec::new();
    for entry in &map {
        let (Key(key), Value(record)) = entry.context("reading the port table failed")?;
        ports.push((key, record));
    }
    ports.sort_by_key(|(key, _)| (key.direction, key.port));
    Ok(ports)
}

/// What happened at one port.
pub(super) fn describe((key, record): &(PortKey, PortRecord)) -> Port {
    let offers = OPEN_RESULTS.iter().map(|(result, name)| (*name, record.opens[*result as usize]));
    let connects = CONNECT_RESULTS.iter().map(|(result, name)| (*name, record.connects[*result as usize]));
    Port {
        port: key.port,
        direction: direction(key.direction),
        offers: offers.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
        connects: connects.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
    }
}
