//! What was there before, where the kernel has no iterator over open files: sock_diag, `/proc` and VMBus sysfs, asked once.
//!
//! Channels come from sysfs, sockets from sock_diag, owners from `/proc`; `join` says which socket is which channel's. Such a connection is
//! shown until the first hook meets it: that gives it a slot (`inherit.rs` in hvsock-ebpf), and from then on the slot is what is shown,
//! under the same id, with the owner found here. Its close is such a hook, so it is never left behind. Which of the two it is is told by
//! the slot's sequence number: as long as it is what it was when the channels were listed, nobody has taken the slot.
//!
//! Only listeners are listed again, at the inventory's pace, because no hook sees one go; and, as long as there are any, offers whose open
//! had begun before the probes were there, because no hook sees it end.

mod channels;
mod diag;
mod join;
mod owners;
mod sight;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use bytemuck::Zeroable as _;
use hvsock_common::{ConnRecord, ListenerRecord, Phases, State, UNKNOWN, flag};

pub(super) use self::sight::{NoSockets, Sight, of_the_iterator};
use self::{
    channels::Channel,
    diag::{CLOSING, ESTABLISHED, LISTEN, NoDiag, Socket},
    join::Joined,
    owners::{Owner, Owners},
};
use super::{
    connections::generation,
    guid, slots,
    untold::{NO_PORT, UNTOLD},
};
use crate::kernel::Mapped;

/// Where processes are shown.
const PROC: &str = "/proc";

/// Where the kernel shows VMBus devices, by the GUID of their instance.
const DEVICES: &str = "/sys/bus/vmbus/devices";

/// Both ways shut down (`SHUTDOWN_MASK`, include/net/sock.h).
const SHUT: u8 = 3;

/// What was there before.
pub(super) struct Older {
    /// By relid.
    connections: BTreeMap<u32, ConnRecord>,
    /// Offers that were not open yet, by relid.
    opening: BTreeMap<u32, Offer>,
    /// By the inode of their socket.
    listeners: BTreeMap<u32, Listening>,
    sight: Sight,
}

/// An offer that was not open yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    /// The sequence number that its slot has if no hook has met it.
    turn: u64,
    /// The connection's GUID.
    instance: [u8; 16],
}

/// Somebody who listens.
#[derive(Clone, Copy)]
struct Listening {
    port: u32,
    owner: Option<Owner>,
}

impl Older {
    /// Takes the inventory. Everything must be attached: what comes about from now on is seen by the hooks.
    pub(super) fn take(slots: &Mapped<ConnRecord>) -> Self {
        // First of all: a slot that changes hands from here on has been met by a hook.
        let turns: Vec<_> = (0..slots.len()).map(|relid| slots::turn(slots, relid)).collect();
        let channels = channels::list(Path::new(channels::DRIVEN));
        let sockets = diag::sockets(&[ESTABLISHED, CLOSING, LISTEN]);
        let mut older = Self {
            connections: BTreeMap::new(),
            opening: BTreeMap::new(),
            listeners: BTreeMap::new(),
            sight: Sight::default(),
        };
        let turn = |relid: u32| turns.get(relid as usize).copied().flatten();
        let channels_or_none = channels.as_deref().unwrap_or_default();
        let unseen = older.find(channels_or_none, sockets.as_deref().ok(), turn);
        older.sight = Sight {
            no_channels: channels.err().map(|e| format!("{} cannot be read: {e}", channels::DRIVEN)),
            no_sockets: sockets.err().map(|why| match why {
                NoDiag::Absent => NoSockets::Absent,
                NoDiag::Failed(why) => NoSockets::Failed(why),
            }),
            unseen,
        };
        older
    }

    /// Looks again who listens: those that are gone are forgotten, new ones appear, with their owner if he may be looked for. And whether
    /// one of the opens that were under way at the start, of which the hooks saw nothing, has come to its end.
    pub(super) fn look_again(&mut self, slots: &Mapped<ConnRecord>) {
        let mut opening = std::mem::take(&mut self.opening);
        opening.retain(|relid, offer| slots::untouched(slots, *relid as usize, offer.turn));
        // One file of each tells whether there is anything new; all of them are listed only then.
        let is_done = |offer: &Offer| channels::is_open(&device(&offer.instance));
        let (channels, states) = if opening.values().any(is_done) {
            (
                channels::list(Path::new(channels::DRIVEN)).unwrap_or_default(),
                &[ESTABLISHED, CLOSING, LISTEN][..],
            )
        } else {
            (Vec::new(), &[LISTEN][..])
        };
        // If there was a list and is none any more, nobody is known to listen.
        let sockets = self.sight.no_sockets.is_none().then(|| diag::sockets(states).unwrap_or_default());
        self.find(&channels, sockets.as_deref(), |relid| opening.get(&relid).map(|offer| offer.turn));
        if channels.is_empty() {
            opening.retain(|_, offer| device(&offer.instance).exists());
            self.opening = opening;
        }
    }

    /// Notes what these lists show, and who has it; of the channels those for whose relid there is a turn. Says how many processes could
    /// not be looked at.
    fn find(
        &mut self,
        channels: &[Channel],
        sockets: Option<&[Socket]>,
        turn: impl Fn(u32) -> Option<u64>,
    ) -> usize {
        let open: Vec<_> = channels.iter().filter(|c| c.open).copied().collect();
        let joined = join::join(&open, sockets);
        let listening = || sockets.unwrap_or_default().iter().filter(|s| s.state == LISTEN);
        let fresh = |inode: &u32| *inode != 0 && !self.listeners.contains_key(inode);
        let connected =
            open.iter().zip(&joined).filter(|(c, _)| turn(c.relid).is_some()).filter_map(|(_, j)| j.socket);
        let wanted = listening().copied().chain(connected).map(|s| s.inode).filter(fresh).collect();
        let owners = owners::find(Path::new(PROC), &wanted);
        for (channel, joined) in open.iter().zip(&joined) {
            if let Some(turn) = turn(channel.relid) {
                self.connections.insert(channel.relid, record(channel, joined, &owners, turn));
            }
        }
        let waiting = channels.iter().filter(|c| !c.open);
        let offer = |c: &Channel| Some((c.relid, Offer { turn: turn(c.relid)?, instance: c.instance }));
        self.opening = waiting.filter_map(offer).collect();
        self.listen(listening(), &owners);
        owners.unseen
    }

    fn listen<'a>(&mut self, listening: impl Iterator<Item = &'a Socket>, owners: &Owners) {
        let note = |socket: &Socket| {
            let owner = match self.listeners.get(&socket.inode) {
                // Found before, or looked for in vain: not looked for again.
                Some(known) => known.owner,
                None => owners.by_inode.get(&socket.inode).copied(),
            };
            (socket.inode, Listening { port: socket.local_port, owner })
        };
        self.listeners = listening.map(note).collect();
    }

    /// Who listens. Of two at one port nobody knows which one the host reaches.
    pub(super) fn listeners(&self) -> Vec<(u64, ListenerRecord)> {
        let mut by_port = BTreeMap::<u32, Vec<Option<Owner>>>::new();
        for Listening { port, owner } in self.listeners.values() {
            by_port.entry(*port).or_default().push(*owner);
        }
        let record = |(port, owners): (u32, Vec<Option<Owner>>)| {
            let owner = if let [one] = owners[..] { one } else { None };
            let record = ListenerRecord {
                port,
                backlog: UNTOLD,
                max_backlog: UNTOLD,
                peak_backlog: UNTOLD,
                pid: owner.map_or(0, |o| o.pid),
                fd: owner.map_or(-1, |o| o.fd.cast_signed()),
                comm: owner.map_or([0; 16], |o| o.comm),
                ..ListenerRecord::default()
            };
            // Not a socket's address: no open is known to have reached it.
            (u64::from(port) | 1 << 63, record)
        };
        by_port.into_iter().map(record).collect()
    }

    /// Those that no hook has met yet. To be asked before the slots are read.
    pub(super) fn idle(&self, slots: &Mapped<ConnRecord>) -> Vec<ConnRecord> {
        let untouched = |record: &&ConnRecord| {
            slots::untouched(slots, record.relid as usize, record.seq)
                // With several probes denied its end may be seen by none; then its device goes unseen, too.
                && device(&record.instance).exists()
        };
        self.connections.values().filter(untouched).copied().collect()
    }

    /// Adds to what the slots hold what is known besides: those connections that no hook had met before the slots were read, and owners.
    pub(super) fn complete(&self, live: &mut Vec<ConnRecord>, idle: Vec<ConnRecord>) {
        let met: BTreeSet<u32> = live.iter().map(|record| record.relid).collect();
        for record in live.iter_mut() {
            self.own(record);
        }
        live.extend(idle.into_iter().filter(|record| !met.contains(&record.relid)));
        live.sort_by_key(|record| record.relid);
    }

    /// Gives a record its owner, if nobody was seen connecting or accepting and it is one of the older connections.
    pub(super) fn own(&self, record: &mut ConnRecord) {
        if record.flags & flag::INHERITED == 0 || (record.pid != 0 && record.fd >= 0) {
            return;
        }
        if let Some(known) = self.connections.get(&record.relid)
            && generation(known.seq) == generation(record.seq)
            && known.instance == record.instance
            && (record.pid == 0 || record.pid == known.pid)
        {
            record.pid = known.pid;
            record.comm = known.comm;
            record.fd = known.fd;
        }
    }

    /// What could be seen.
    pub(super) fn sight(&self) -> &Sight {
        &self.sight
    }
}

/// Where the kernel shows the device of this instance.
fn device(instance: &[u8; 16]) -> PathBuf {
    Path::new(DEVICES).join(guid::text(instance))
}

/// What is known of a connection, as the record that a hook would make of it. `turn` is the sequence number that its slot has then.
fn record(channel: &Channel, joined: &Joined, owners: &Owners, turn: u64) -> ConnRecord {
    let mut record = ConnRecord {
        seq: turn,
        state: joined.socket.and_then(|socket| state(&socket, channel)).map_or(UNTOLD, |state| state as u32),
        flags: flag::INHERITED,
        relid: channel.relid,
        direction: UNTOLD,
        local_port: NO_PORT,
        remote_port: NO_PORT,
        service: channel.service,
        instance: channel.instance,
        opened_ns: UNKNOWN,
        queued_ns: UNKNOWN,
        released_ns: UNKNOWN,
        rescinded_ns: UNKNOWN,
        freed_ns: UNKNOWN,
        phases: Phases {
            connect_ns: UNKNOWN,
            offer_to_probe_ns: UNKNOWN,
            lookup_ns: UNKNOWN,
            ring_alloc_ns: UNKNOWN,
            host_open_ns: UNKNOWN,
            other_open_ns: UNKNOWN,
            accept_wait_ns: UNKNOWN,
            first_byte_ns: UNKNOWN,
            close_ns: UNKNOWN,
        },
        now_out_used: u32::MAX,
        now_in_used: u32::MAX,
        fd: -1,
        ..ConnRecord::zeroed()
    };
    record.rings.unread_at_rescind = u32::MAX;
    record.rings.out_size = channel.out_size.unwrap_or(0);
    record.rings.in_size = channel.in_size.unwrap_or(0);
    if let (Some(out), Some(incoming)) = (channel.out_size, channel.in_size) {
        // Each has a page in front of its data.
        record.rings.pages = (out + incoming) / channels::PAGE + 2;
    }
    if let Some((direction, local, remote)) = joined.ends {
        (record.direction, record.local_port, record.remote_port) = (direction as u32, local, remote);
    }
    if let Some(owner) = joined.socket.and_then(|s| owners.by_inode.get(&s.inode)) {
        (record.pid, record.comm, record.fd) = (owner.pid, owner.comm, owner.fd.cast_signed());
    }
    record
}

/// Where the connection is in its life. The socket's state alone does not always tell.
fn state(socket: &Socket, channel: &Channel) -> Option<State> {
    match (socket.state, socket.inode) {
        // Nobody has it any more, and it was shut down as a close does it: it waits for the host. A child that waits to be accepted has
        // not been shut down.
        (_, 0) if socket.shutdown == SHUT => Some(State::Closing),
        // If the host takes a channel away in which something lies unread, hv_sock leaves the socket's state as it is.
        (ESTABLISHED, _) if channel.unread == Some(false) => Some(State::Established),
        // Taken away by the host, or a connect that a signal ended.
        _ => None,
    }
}

#[cfg(test)]
#[path = "older_tests.rs"]
mod tests;
