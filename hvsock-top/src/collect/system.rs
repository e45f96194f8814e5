//! What the kernel says of free memory, and of ourselves.

use std::{fs, process};

use super::clock;
use crate::model::{Memory, Tool};

/// Free blocks by their size.
const BUDDYINFO: &str = "/proc/buddyinfo";
/// Our memory, in pages: all, resident, and more.
const STATM: &str = "/proc/self/statm";

/// Free memory that rings can be made of.
pub(super) fn memory() -> Memory {
    Memory {
        page_bytes: page_bytes(),
        free_blocks: fs::read_to_string(BUDDYINFO).ok().and_then(|text| free_blocks(&text)),
    }
}

/// What the tool itself takes.
pub(super) fn tool() -> Tool {
    let statm = fs::read_to_string(STATM).ok();
    let resident = statm.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: process::id(),
        cpu_ns: clock::process_cpu_ns(),
        resident_bytes: resident.zip(page_bytes()).map(|(pages, bytes)| pages * bytes),
    }
}

fn page_bytes() -> Option<u64> {
    // SAFETY: takes and returns a number.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()
}

/// The sum over the zones, all but DMA: the kernel keeps that for devices that cannot use other memory.
fn free_blocks(text: &str) -> Option<Vec<u64>> {
    let mut sums: Vec<u64> = Vec::new();
    for line in text.lines() {
        // Node 0, zone   Normal   1520   …
        let (_, rest) = line.split_once("zone")?;
        let mut words = rest.split_whitespace();
        if words.next()? == "DMA" {
            continue;
        }
        for (order, word) in words.enumerate() {
            let blocks: u64 = word.parse().ok()?;
            match sums.get_mut(order) {
                Some(sum) => *sum += blocks,
                None => sums.push(blocks),
            }
        }
    }
    (!sums.is_empty()).then_some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_blocks_are_added_up_over_zones() {
        let text = "Node 0, zone      DMA      1      1      1\n\
                    Node 0, zone    DMA32      2      3      4\n\
                    Node 1, zone   Normal     10     20     30\n";
        assert_eq!(free_blocks(text), Some(vec![12, 23, 34]));
        assert_eq!(free_blocks(""), None);
        assert_eq!(free_blocks("nonsense"), None);
    }

    #[test]
    fn the_tool_says_what_it_takes() {
        let tool = tool();
        assert_eq!(tool.pid, process::id());
        assert!(tool.cpu_ns > Some(0) && tool.resident_bytes > Some(100_000), "{tool:?}");
        assert!(memory().page_bytes >= Some(4096));
    }
}
