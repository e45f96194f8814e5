//! Somebody sets the clock.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde_json::Value;

use crate::compare::near;
use crate::runner::Scenario;
use crate::snapshot::{Snapshot, number};
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "clock",
    "the clock is set forth and back by a day: times follow it, ages and durations do not jump",
    run,
);

const DAY: i64 = 86_400;

fn run() -> Result<()> {
    let result = jumps();
    // Whatever happened, the next scenario finds the clock where it was, within the seconds this took.
    set(0)?;
    result
}

fn jumps() -> Result<()> {
    host::host("mode 5460 echo")?;
    host::host("mode 5461 hold 300")?;
    let top = Top::start()?;
    let stream = traffic::connect(5460)?;
    let opened = uptime()?;
    traffic::echo(&stream, 5000)?;
    let mut last = steps::exact(&top)?;
    for jump in [DAY, -DAY, -DAY, DAY] {
        let before = clock_gettime(ClockId::Realtime).tv_sec;
        let connecting = thread::spawn(|| traffic::connect(5461));
        thread::sleep(Duration::from_millis(100));
        set(jump)?;
        let other = connecting.join().map_err(|_| anyhow::anyhow!("the thread panicked"))??;
        let snapshot = steps::exact(&top)?;
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        ensure!((now - before - jump).abs() < 20, "the clock was not set");
        snapshot.check(|snapshot| {
            let time = seconds(snapshot.at("time").context("no time")?)?;
            ensure!((now - time).abs() <= 2, "time: expected {now}, the clock's, got {time}");
            let uptimes = (last.number("uptime_ns")?, snapshot.number("uptime_ns")?);
            ensure!(
                uptimes.0 < uptimes.1 && snapshot.number("interval_ns")? < 20_000_000_000,
                "time went {uptimes:?}"
            );
            for value in snapshot.connections()? {
                let age = number(value, "age_ns")?;
                let since = time - seconds(&value["opened_at"])?;
                ensure!(
                    (since - (age / 1_000_000_000) as i64).abs() <= 1,
                    "opened {since} s ago, {age} ns old: {value}"
                );
                if value["remote_port"] == 5460 {
                    near("the age", age, snapshot.number("uptime_ns")? - opened)?;
                } else {
                    near("an open during the jump", number(value, "latency/host_open_ns")?, 300_000_000)?;
                }
            }
            Ok(())
        })?;
        traffic::close(other)?;
        steps::wait_ledger("one is gone", |l| l.host.live == 1)?;
        last = snapshot;
    }
    traffic::close(stream)?;
    let end: Snapshot = steps::all_gone_exact(&top)?;
    ensure!(end.number("latency/connect/max_ns")? < 20_000_000_000, "a connect that lasted a day");
    top.stop()
}

/// Sets the clock by so many seconds; 0: to what it was when the test began.
fn set(jump: i64) -> Result<()> {
    static SUM: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    let jump = if jump == 0 { -SUM.load(std::sync::atomic::Ordering::Relaxed) } else { jump };
    SUM.fetch_add(jump, std::sync::atomic::Ordering::Relaxed);
    let now = clock_gettime(ClockId::Realtime);
    clock_settime(ClockId::Realtime, Timespec { tv_sec: now.tv_sec + jump, ..now })
        .context("cannot set the clock")
}

/// Seconds since 1970 of an RFC 3339 time in UTC, as hvsock-top writes them.
pub(super) fn seconds(time: &Value) -> Result<i64> {
    let text = time.as_str().with_context(|| format!("no time: {time}"))?;
    let part = |range: std::ops::Range<usize>| -> Result<i64> {
        text.get(range).and_then(|t| t.parse().ok()).with_context(|| format!("not an RFC 3339 time: {text}"))
    };
    ensure!(text.ends_with('Z'), "not in UTC: {text}");
    let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
    // Days since 1970: years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Ok(days * DAY + part(11..13)? * 3600 + part(14..16)? * 60 + part(17..19)?)
}
