//! The structures, as the kernel walks them.

use hvsock_common::{LAB_END, LAB_STRIDE, LabKey, LabNode, LabState, lab_jhash};

use crate::{
    batch::Walked,
    maps::{GROWN, HEADS, NODES, POINTERS},
};

const LOST: Walked = Walked { visited: 0, found: false, at: LAB_END, nil: 0 };

/// Follows a chain from `at` on. `look` says whether it is this node, with a zero from beside the key; `next` the link to the next one.
#[inline(always)]
fn chain(mut at: u32, look: impl Fn(&LabNode) -> (bool, u32), next: impl Fn(&LabNode) -> u32) -> Walked {
    let mut visited = 0;
    while visited < LAB_STRIDE {
        // The end of the chain is no slot either.
        let Some(node) = NODES.get(at.wrapping_sub(1)) else {
            return Walked { visited, found: false, at: LAB_END, nil: at };
        };
        visited += 1;
        let (found, nil) = look(node);
        if found {
            return Walked { visited, found, at: LAB_END, nil };
        }
        at = next(node);
    }
    // At the end of the chain this says that the walk is over.
    Walked { visited, found: false, at, nil: at }
}

/// Where the walk that is under way goes on, or else `head`.
#[inline(always)]
fn from(state: &LabState, head: u32) -> u32 {
    if state.at == LAB_END { head } else { state.at }
}

#[inline(always)]
pub(crate) fn nothing(_: &LabState, key: &LabKey) -> Walked {
    // The key is loaded in every program; `relid` never reaches this.
    Walked { nil: key.relid >> 31, ..LOST }
}

#[inline(always)]
pub(crate) fn list_by_guid(state: &LabState, key: &LabKey) -> Walked {
    chain(
        from(state, state.bound.next),
        |node| (node.guid[0] == key.guid[0] && node.guid[1] == key.guid[1], node.guid_nil as u32),
        |node| node.bound.next,
    )
}

#[inline(always)]
pub(crate) fn list_by_channel(state: &LabState, key: &LabKey) -> Walked {
    chain(
        from(state, state.connected.next),
        |node| (node.channel == key.channel, node.channel_nil as u32),
        |node| node.connected.next,
    )
}

#[inline(always)]
pub(crate) fn bucket(state: &LabState, key: &LabKey) -> Walked {
    let Some(head) = HEADS.get(hvsock_common::lab_bucket(key.port)) else { return LOST };
    chain(from(state, head.next), |node| (node.port == key.port, node.port_nil), |node| node.bucket.next)
}

#[inline(always)]
pub(crate) fn grown(state: &LabState, key: &LabKey) -> Walked {
    let Some(head) = GROWN.get(lab_jhash(key.port) & state.mask) else { return LOST };
    chain(from(state, *head as u32), |node| (node.port == key.port, node.port_nil), |node| node.grown.next)
}

/// There is nothing to walk: the socket is there or it is not.
#[inline(always)]
pub(crate) fn pointer(_: &LabState, key: &LabKey) -> Walked {
    let Some(link) = POINTERS.get(key.relid) else { return LOST };
    let at = *link as u32;
    let Some(node) = NODES.get(at.wrapping_sub(1)) else { return Walked { nil: at, ..LOST } };
    Walked { visited: 1, found: node.channel == key.channel, at: LAB_END, nil: node.channel_nil as u32 }
}
