//! What every Snapshot says of itself, of the guest and of the probes, and figures that hardly depend on what happens.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::clock::seconds;
use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::snapshot::{Snapshot, number};
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "fields",
        "the guest, the times, the probes and the ids are what the kernel says they are; every read and callback counts",
        run,
    )
};

fn run() -> Result<()> {
    host::host("mode 5480 sink")?;
    host::host("mode 5481 echo")?;
    intervals()?;
    let top = Top::start()?;
    // What takes its time is looked up before.
    let (facts, places) = (facts()?, Places::now()?);
    top.wait("the guest and the probes", |s| {
        for (path, expected) in &facts {
            ensure!(
                s.at(path).is_some_and(|v| v == expected),
                "{path}: expected {expected}, got {:?}",
                s.at(path)
            );
        }
        probes(s, &places)?;
        compare::expect_all(s, &[("schema", 1), ("totals/relids_max", 2048), ("totals/relids_used", 0)])
    })?;
    let version = once::hvsock_top(&["--version"])?.stdout;
    top.wait("the tool", |s| {
        let tool = s.at("tool").context("no tool")?;
        compare::expect_of(tool, &[("pid", top.id().into())])?;
        let told = tool["version"].as_str().context("no version")?;
        ensure!(version.trim() == format!("hvsock-top {told}"), "{version}: {told}");
        // The Snapshot is a moment old, and the kernel tells others of CPU time in hundredths of a second.
        let (cpu, now) = (number(tool, "cpu_ns")?, cpu_ns(top.id())?);
        ensure!(cpu < now + 20_000_000 && now < cpu + 500_000_000, "CPU time: {cpu} ns, now {now} ns");
        let (resident, now) = (number(tool, "resident_bytes")?, resident_bytes(top.id())?);
        ensure!(resident % 4096 == 0 && resident.abs_diff(now) < now / 4, "resident: {resident}, now {now}");
        Ok(())
    })?;
    top.wait("free memory", |s| {
        compare::expect(s, "memory/page_bytes", 4096)?;
        let (told, now) = (s.list("memory/free_blocks")?, free_blocks()?);
        ensure!(told.len() == now.len(), "orders: {told:?}, now {now:?}");
        // Small ones come and go all the time.
        ensure!(told[8..].iter().eq(&now[8..]), "free blocks: {told:?}, now {now:?}");
        Ok(())
    })?;
    top.wait("the time", |s| {
        let (told, now) = (s.number("uptime_ns")?, uptime()?);
        ensure!(told < now && now - told < 5_000_000_000, "uptime_ns: it is {now}, got {told}");
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        let time = seconds(s.at("time").context("no time")?)?;
        ensure!((now - time).abs() <= 2, "time: expected {now}, the clock's, got {time}");
        compare::accounting(s)
    })?;
    reads(&top)?;
    delays(&top)?;
    ids(&top)?;
    steps::all_gone_exact(&top)?;
    top.stop()
}

fn line(path: &str) -> Result<String> {
    Ok(fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?.trim().to_owned())
}

/// CPU time of a process, as its status tells it: in hundredths of a second.
fn cpu_ns(process: u32) -> Result<u64> {
    let stat = line(&format!("/proc/{process}/stat"))?;
    // After the name, which may have anything in it: state and 10 more, then utime and stime.
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks * 10_000_000)
}

fn resident_bytes(process: u32) -> Result<u64> {
    let status = line(&format!("/proc/{process}/status"))?;
    let text =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.strip_suffix("kB")).context("no VmRSS")?;
    Ok(text.trim().parse::<u64>()? * 1024)
}

/// Free blocks by their size, of all zones but DMA.
fn free_blocks() -> Result<Vec<u64>> {
    let mut sums = vec![0; 11];
    for zone in line("/proc/buddyinfo")?.lines().filter(|l| !l.contains("DMA ")) {
        let counts: Vec<&str> = zone.split_whitespace().skip(4).collect();
        ensure!(counts.len() == sums.len(), "{} orders: {zone}", counts.len());
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum += count.parse::<u64>()?;
        }
    }
    Ok(sums)
}

/// The guest, by what it says elsewhere.
fn facts() -> Result<[(&'static str, String); 5]> {
    let log = once::shell("dmesg | sed -n 's/.*hv_vmbus: Vmbus version://p'")?.stdout;
    let facts = [
        ("host/kernel", line("/proc/sys/kernel/osrelease")?),
        ("host/hostname", line("/proc/sys/kernel/hostname")?),
        ("host/hv_sock", "module".to_owned()),
        ("host/family", "vsock".to_owned()),
        ("host/vmbus_version", log.trim().to_owned()),
    ];
    let silent = facts.iter().find(|(_, expected)| expected.is_empty());
    ensure!(silent.is_none(), "the guest does not say: {silent:?}");
    Ok(facts)
}

/// What the kernel says is attached, and what events there are.
struct Places {
    trampolines: String,
    kprobes: String,
    events: String,
}

impl Places {
    fn now() -> Result<Self> {
        Ok(Self {
            trampolines: line("/sys/kernel/tracing/enabled_functions")?,
            kprobes: line("/sys/kernel/debug/kprobes/list")?,
            events: once::hvsock_top(&["--deny-probe", "?"])?.stderr.replace(['\n', ','], " "),
        })
    }
}

/// Each probe is where it says it is.
fn probes(s: &Snapshot, places: &Places) -> Result<()> {
    let all = s.list("probes")?;
    for probe in all {
        let (event, symbol) = (probe["event"].as_str().context("no event")?, &probe["symbol"]);
        let is_event = places.events.split_whitespace().any(|word| word == event);
        ensure!(is_event, "no event {event}: {}", places.events);
        let symbol = symbol.as_str().with_context(|| format!("no symbol: {probe}"))?;
        let word = |text: &str| text.split_whitespace().any(|w| w.split('+').next() == Some(symbol));
        let there = match probe["backend"].as_str() {
            Some("fentry") => word(&places.trampolines),
            Some("kprobe") => word(&places.kprobes),
            Some("tracepoint") => fs::exists(format!("/sys/kernel/tracing/events/hyperv/{symbol}"))?,
            Some("iterator") => symbol == "bpf_iter_task_file",
            _ => false,
        };
        ensure!(there && probe["state"] == "active", "it is not there: {probe}");
        let essential = ["open", "established", "freed"].contains(&event);
        ensure!(probe["required"] == essential, "is it essential? {probe}");
        // Only where a better way was passed over is there a reason.
        ensure!(probe["reason"].is_null() || probe["backend"] == "kprobe", "{probe}");
    }
    ensure!(all.len() > 25, "only {} probes", all.len());
    Ok(())
}

/// The times of three Snapshots in a row, and that a probe that was denied says so.
fn intervals() -> Result<()> {
    let begun = uptime()?;
    let ended = once::hvsock_top(&["json", "--interval", "300ms", "--count", "3", "--deny-probe", "offer"])?;
    let now = uptime()?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let all = ended.stdout.lines().map(Snapshot::parse).collect::<Result<Vec<_>>>()?;
    let [first, second, third] = &all[..] else { anyhow::bail!("expected three, got {ended:?}") };
    ensure!(first.at("interval_ns").is_some_and(Value::is_null), "an interval before the first");
    for (last, next) in [(first, second), (second, third)] {
        next.check(|s| {
            let passed = s.number("uptime_ns")? - last.number("uptime_ns")?;
            compare::expect(s, "interval_ns", passed)?;
            compare::expect(s, "observed_ns", last.number("observed_ns")? + passed)?;
            ensure!(passed.abs_diff(300_000_000) < 150_000_000, "another interval than wanted: {passed} ns");
            let (up, observed) = (s.number("uptime_ns")?, s.number("observed_ns")?);
            ensure!(begun < up && up < now, "uptime_ns: expected {begun} to {now}, got {up}");
            ensure!(observed < up - begun, "observed for {observed} ns, longer than it has run");
            let denied = s.list("probes")?.iter().find(|p| p["event"] == "offer").context("no offer")?;
            ensure!(
                denied["state"] == "denied"
                    && denied["backend"] == "none"
                    && denied["reason"] == "denied on the command line",
                "{denied}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

/// Reads of what is there: each is a call. What the host puts into the empty ring is seen at a callback, as full as it is.
fn reads(top: &Top) -> Result<()> {
    const PIECE: usize = 500;
    let stream = traffic::connect(5480)?;
    let (mut steps, mut read, mut fullest) = (vec![0; 17], 0, 0);
    for pieces in [3, 9, 14] {
        host::host(&format!("write {} 5480", pieces * PIECE))?;
        let ledger = steps::wait_ledger("it is in the ring", |l| l.of_service(5480).any(|c| c.in_used > 0))?;
        let conn = ledger.of_service(5480).next().context("not in the ledger")?;
        steps[(conn.in_used * 16 / conn.in_size) as usize] += 1;
        fullest = conn.in_used.max(fullest);
        top.wait("the level", |s| {
            let value = compare::find(s.connections()?, conn)?;
            let wanted = [
                ("rings/in/used_bytes", conn.in_used),
                ("rings/in/max_used_bytes", fullest),
                ("callbacks/count", steps.iter().sum()),
                ("rx/calls", read),
                ("rx/waits", 0),
            ];
            compare::expect_of(value, &wanted)?;
            let got = occupancy(value, "in")?;
            ensure!(got == steps, "occupancy: expected {steps:?}, got {got:?}");
            // Its callbacks are all there are.
            compare::expect_all(
                s,
                &[
                    ("latency/callback_run/sum_ns", number(value, "callbacks/run_ns")?),
                    ("totals/callbacks", steps.iter().sum()),
                    ("accounting/callback/recorded", steps.iter().sum()),
                    ("accounting/dequeue/recorded", read),
                ],
            )
        })?;
        for _ in 0..pieces {
            stream.receive_exact(&mut [0; PIECE])?;
            read += 1;
        }
    }
    top.wait("every read", |s| {
        let bytes = read * PIECE as u64;
        let wanted = [("rx/bytes", bytes), ("rx/calls", read), ("rx/waits", 0), ("rings/in/used_bytes", 0)];
        compare::expect_of(s.connection()?, &wanted)
    })?;
    traffic::close(stream)?;
    steps::all_gone().map(drop)
}

/// The way from an interrupt to the callback is a part of the way from the host's write to the reader that it wakes.
fn delays(top: &Top) -> Result<()> {
    const TIMES: u64 = 20;
    let delay = |s: &Snapshot, name: &str| s.number(&format!("latency/callback_delay/{name}"));
    let stream = traffic::connect(5480)?;
    let before = steps::exact(top)?;
    let mut whole = 0;
    for _ in 0..TIMES {
        let other = stream.another()?;
        let reader = thread::spawn(move || other.receive_exact(&mut [0; 100]).map(|()| uptime()));
        thread::sleep(Duration::from_millis(20));
        let begun = uptime()?;
        host::host("write 100 5480")?;
        let ended = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))???;
        whole += ended - begun;
    }
    top.wait("the interrupts' ways", |s| {
        let count = delay(s, "count")? - delay(&before, "count")?;
        let callbacks = s.number("totals/callbacks")? - before.number("totals/callbacks")?;
        ensure!(
            count == TIMES && callbacks == TIMES,
            "{count} delays of {callbacks} callbacks, expected {TIMES}"
        );
        let sum = delay(s, "sum_ns")? - delay(&before, "sum_ns")?;
        ensure!(0 < sum && sum < whole, "delays of {sum} ns in all, in {whole} ns from write to read");
        compare::accounting(s)
    })?;
    traffic::close(stream)?;
    steps::all_gone().map(drop)
}

/// The steps of a ring's occupancy.
pub(super) fn occupancy(value: &Value, ring: &str) -> Result<Vec<u64>> {
    let steps =
        value["rings"][ring]["occupancy"].as_array().with_context(|| format!("no occupancy of {ring}"))?;
    ensure!(steps.len() == 17, "{} steps", steps.len());
    steps.iter().map(|n| n.as_u64().context("not a number")).collect()
}

/// A connection keeps its id, and nobody else has it, not even who gets its relid.
fn ids(top: &Top) -> Result<()> {
    let id = |value: &Value| value["id"].as_str().map(str::to_owned).context("no id");
    let first = traffic::connect_all(5481, 3)?;
    let seen = steps::exact(top)?;
    seen.check(|s| compare::expect(s, "totals/relids_used", 3))?;
    let before =
        seen.connections()?.iter().map(|v| Ok((v["relid"].clone(), id(v)?))).collect::<Result<Vec<_>>>()?;
    ensure!(
        (0..3).all(|i| before[..i].iter().all(|(_, other)| *other != before[i].1)),
        "not unique: {before:?}"
    );
    thread::sleep(Duration::from_millis(300));
    top.wait("the same ids", |s| {
        let now =
            s.connections()?.iter().map(|v| Ok((v["relid"].clone(), id(v)?))).collect::<Result<Vec<_>>>()?;
        ensure!(now == before, "expected {before:?}, got {now:?}");
        Ok(())
    })?;
    first.into_iter().try_for_each(traffic::close)?;
    steps::all_gone()?;
    let second = traffic::connect_all(5481, 3)?;
    let seen = steps::exact(top)?;
    let relids =
        seen.connections()?.iter().filter(|v| before.iter().any(|(relid, _)| *relid == v["relid"])).count();
    ensure!(relids > 0, "no relid was used again, so nothing is shown");
    for value in seen.connections()? {
        ensure!(before.iter().all(|(_, other)| value["id"] != **other), "an id used again: {value}");
    }
    second.into_iter().try_for_each(traffic::close)
}
