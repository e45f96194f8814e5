//! Where the laboratory stands.

use std::{fs, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};

use super::{Machine, cache};

/// What there is to say about this machine.
pub(super) fn describe() -> Machine {
    Machine {
        kernel: line("/proc/sys/kernel/osrelease"),
        cpu: fs::read_to_string("/proc/cpuinfo").ok().as_deref().and_then(cpu_name),
        clocksource: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        clock_step_ns: clock_step(),
        jit: None,
        cold_by: cache::by().to_owned(),
    }
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn cpu_name(cpuinfo: &str) -> Option<String> {
    let value = |name| cpuinfo.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value("model name").or_else(|| value("CPU part")).map(|(_, value)| value.trim().to_owned())
}

/// This thread, kept on the CPU it is on: another one has other caches.
pub(super) struct Pinned(Option<CpuSet>);

impl Pinned {
    /// Where the kernel refuses, the measurements are noisier and as right.
    pub(super) fn here() -> Self {
        let before = sched_getaffinity(None).ok();
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        Self(before.filter(|_| sched_setaffinity(None, &here).is_ok()))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = sched_setaffinity(None, before);
        }
    }
}

/// The smallest step of the clock among many readings, which is its resolution or the time it takes to read it, whichever is longer.
fn clock_step() -> u64 {
    let readings: Vec<Duration> = (0..2000).map(|_| now()).collect();
    let steps = readings.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).as_nanos() as u64);
    steps.filter(|step| *step > 0).min().unwrap_or(0)
}

/// `CLOCK_MONOTONIC`.
fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to a structure of ours.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(
            cpu_name("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n").as_deref(),
            Some("Some CPU @ 2 GHz")
        );
        assert_eq!(cpu_name("CPU part\t: 0xd0c\n").as_deref(), Some("0xd0c"));
        assert_eq!(cpu_name(""), None);
    }

    #[test]
    fn the_clock_moves() {
        assert!(clock_step() > 0);
    }
}
