//! The kernel's clocks.

use std::time::Duration;

use jiff::Timestamp;

/// Nanoseconds of CLOCK_MONOTONIC, the clock of all records.
pub(super) fn monotonic_ns() -> u64 {
    // This clock always exists.
    read(libc::CLOCK_MONOTONIC).unwrap_or(0)
}

/// CPU time that this process has used.
pub(super) fn process_cpu_ns() -> Option<u64> {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> Option<u64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: passes a pointer to a valid structure.
    let result = unsafe { libc::clock_gettime(clock, &raw mut now) };
    (result == 0).then_some(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// One moment on both clocks, so that records' times can be told as wall-clock times. Taken anew for every Snapshot: when somebody sets
/// the wall clock, times told move with it, and durations do not.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// CLOCK_MONOTONIC.
    pub ns: u64,
    wall: Timestamp,
}

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        Self { ns: monotonic_ns(), wall: Timestamp::now() }
    }

    /// This moment, RFC 3339.
    pub(super) fn wall(&self) -> String {
        format!("{:.3}", self.wall)
    }

    /// A record's time, RFC 3339; `None` if it lies before all calendars.
    pub(super) fn wall_of(&self, ns: u64) -> Option<String> {
        let ago = Duration::from_nanos(self.ns.saturating_sub(ns));
        self.wall.checked_sub(ago).ok().map(|time| format!("{time:.3}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_milliseconds() {
        let moment = Moment { ns: 5_000_000_000, wall: "2026-01-02T03:04:05.678Z".parse().unwrap() };
        assert_eq!(moment.wall(), "2026-01-02T03:04:05.678Z");
        assert_eq!(moment.wall_of(4_000_000_000).unwrap(), "2026-01-02T03:04:04.678Z");
    }
}
