//! Lifecycle events from the ring buffer.

use std::{
    os::fd::{AsRawFd as _, BorrowedFd, RawFd},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{MapData, RingBuf};
use hvsock_common::{ConnRecord, ConnectResult, Event, EventKind as Kind, Hook, OpenResult, UNKNOWN, flag};

use super::{
    Live,
    clock::Moment,
    connections::{direction, known, owner},
};
use crate::model::{EventKind, LifecycleEvent};

/// The live kernel's lifecycle events, in the order in which they happened.
pub struct Events {
    ring: RingBuf<MapData>,
    epoch: u32,
    lost: u64,
}

impl Events {
    /// Begins to read. The kernel must have been attached with `events`.
    pub fn new(live: &mut Live) -> Result<Self> {
        let map = live
            .loaded_mut()
            .ebpf
            .take_map("EVENTS")
            .ok_or_else(|| anyhow!("the object has no map EVENTS"))?;
        Ok(Self { ring: RingBuf::try_from(map)?, epoch: live.epoch(), lost: 0 })
    }

    /// Waits until there is something to read, at most `timeout`.
    pub fn wait(&self, timeout: Duration) -> Result<()> {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: passes one valid structure.
        let ready = unsafe { libc::poll(&raw mut poll, 1, timeout.as_millis() as libc::c_int) };
        let error = std::io::Error::last_os_error();
        if ready < 0 && error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("waiting for events failed");
        }
        Ok(())
    }

    fn fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// All events that have come since the last call; the last one says how many are missing, if any are. Follows hv_sock when it is loaded
    /// anew.
    pub fn drain(&mut self, live: &mut Live) -> Result<Vec<LifecycleEvent>> {
        let mut events = self.read(live);
        live.follow()?;
        if live.epoch() != self.epoch {
            // What came between the reading above and the change, then the new ring.
            events.extend(self.read(live));
            *self = Self { lost: self.lost, ..Self::new(live)? };
        }
        let lost = live.events_lost();
        if lost > self.lost {
            events.push(LifecycleEvent::lost(lost - self.lost));
            self.lost = lost;
        }
        Ok(events)
    }

    fn read(&mut self, live: &Live) -> Vec<LifecycleEvent> {
        let moment = Moment::now();
        let mut events = Vec::new();
        while let Some(item) = self.ring.next() {
            // The ring aligns entries to eight bytes, an event to 64.
            if let Some(bytes) = item.get(..size_of::<Event>()) {
                let mut event: Event = bytemuck::pod_read_unaligned(bytes);
                live.own(&mut event.record);
                events.push(describe(&event, &moment, self.epoch));
            }
        }
        events
    }
}

impl std::os::fd::AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the ring, which `self` owns.
        unsafe { BorrowedFd::borrow_raw(self.fd()) }
    }
}

/// Hooks that send events.
pub(super) const SENDERS: [Hook; 7] = [
    Hook::Open,
    Hook::Accept,
    Hook::Freed,
    Hook::ConnectEnd,
    Hook::ConnectTimeout,
    Hook::Established,
    Hook::Release,
];

fn describe(event: &Event, moment: &Moment, epoch: u32) -> LifecycleEvent {
    let record = &event.record;
    let (pid, comm) = owner(record);
    let kind = match Kind::from_u32(event.kind) {
        Some(Kind::Opened) => EventKind::Opened,
        Some(Kind::OpenFailed) => EventKind::OpenFailed,
        Some(Kind::Accepted) => EventKind::Accepted,
        Some(Kind::Closed) => EventKind::Closed,
        Some(Kind::ConnectFailed) | None => EventKind::ConnectFailed,
    };
    let has_channel = kind != EventKind::ConnectFailed;
    let ended = kind == EventKind::Closed;
    LifecycleEvent {
        time: moment.wall_of(event.time_ns),
        event: kind,
        id: has_channel.then(|| super::connections::id(record, epoch)),
        relid: has_channel.then_some(record.relid),
        direction: Some(direction(record.direction)),
        local_port: Some(record.local_port),
        remote_port: Some(record.remote_port),
        pid: pid.or((event.pid != 0).then_some(event.pid)),
        comm,
        duration_ns: duration(kind, record),
        tx_bytes: ended.then_some(record.tx.bytes),
        rx_bytes: ended.then_some(record.rx.bytes),
        unread_bytes: ended.then(|| super::connections::unread(record)).flatten(),
        why: why(kind, event.detail, record).map(str::to_owned),
        errno: (event.error != 0).then(|| super::connections::errno(event.error.unsigned_abs())),
        lost: None,
    }
}

fn duration(kind: EventKind, record: &ConnRecord) -> Option<u64> {
    let phases = &record.phases;
    match kind {
        EventKind::Opened if phases.connect_ns != UNKNOWN => Some(phases.connect_ns),
        EventKind::Opened => {
            Some(known(phases.offer_to_probe_ns)? + known(record.opened_ns)?.saturating_sub(record.begin_ns))
        }
        EventKind::Accepted => known(phases.accept_wait_ns),
        EventKind::Closed => Some(known(record.freed_ns)?.saturating_sub(known(record.opened_ns)?)),
        _ => None,
    }
}

fn why(kind: EventKind, detail: u32, record: &ConnRecord) -> Option<&'static str> {
    match kind {
        EventKind::OpenFailed => OpenResult::from_u32(detail).map(OpenResult::name),
        EventKind::ConnectFailed => ConnectResult::from_u32(detail).map(ConnectResult::name),
        EventKind::Closed => Some(if record.flags & flag::END_MISSED != 0 {
            "end_missed"
        } else if record.flags & flag::CLOSE_TIMED_OUT != 0 {
            "timed_out"
        } else if record.flags & flag::HOST_FIRST != 0 {
            "by_host"
        } else if record.flags & flag::RESCINDED != 0 {
            "graceful"
        } else {
            "other"
        }),
        _ => None,
    }
}
