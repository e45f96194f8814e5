//! Runs the scenarios in guests: speaks the runner's protocol, and boots again when a guest breaks under a scenario.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::console::{self, Lines};
use crate::qemu::{Ending, Event, Guest};
use crate::vm::{Bed, Options};
use crate::{exec, initramfs, prometheus};

/// How long a guest may take until its first scenario begins.
const BOOT_TIME: Duration = Duration::from_mins(2);

/// What a scenario gets on top of its own time-out before the guest counts as hung: the runner ends it first where it can.
const GRACE: Duration = Duration::from_secs(15);

/// How many console lines are shown with a failed scenario.
const CONSOLE_LINES: usize = 25;

/// A scenario as `scenarios list` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: String,
    smp: u32,
    nomod: bool,
    prometheus: bool,
    timeout: u64,
}

/// Scenarios that can share a guest, in the order the runner runs them.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The kernel's id.
    pub(crate) kernel: String,
    smp: u32,
    nomod: bool,
    prometheus: bool,
    scenarios: Vec<Scenario>,
}

/// One scenario's result on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The scenario's name.
    pub(crate) name: String,
    /// How long it took in seconds, as the guest measured it.
    pub(crate) seconds: String,
    /// Nothing when it passed, else what is wrong.
    pub(crate) failure: Option<Vec<String>>,
}

/// A line of the runner.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Begin(String),
    Detail(String),
    Pass(String, String),
    Fail(String, String),
    Done,
    Other(String),
}

/// The scenarios there are. The guest's binary is static, so this machine can run it too.
pub(crate) fn list() -> Result<Vec<Scenario>> {
    let text = exec::text(Command::new(initramfs::binary("scenarios")).arg("list"))?;
    text.lines().map(|l| parse_scenario(l).with_context(|| format!("`scenarios list` says: {l}"))).collect()
}

/// Puts scenarios that want the same machine together, for one kernel; `only` limits them, when it names any.
pub(crate) fn group(kernel: &str, all: &[Scenario], only: &[String]) -> Vec<Group> {
    let mut groups: BTreeMap<(u32, bool, bool), Vec<Scenario>> = BTreeMap::new();
    for scenario in all.iter().filter(|s| only.is_empty() || only.contains(&s.name)) {
        groups.entry((scenario.smp, scenario.nomod, scenario.prometheus)).or_default().push(scenario.clone());
    }
    groups
        .into_iter()
        .map(|((smp, nomod, prometheus), scenarios)| Group {
            kernel: kernel.to_owned(),
            smp,
            nomod,
            prometheus,
            scenarios,
        })
        .collect()
}

impl Group {
    /// The most this can take: what to start first when guests run side by side.
    pub(crate) fn weight(&self) -> u64 {
        self.scenarios.iter().map(|s| s.timeout).sum()
    }

    /// Runs the group; `report` gets every result as soon as it is there. Every scenario of the group gets exactly one.
    pub(crate) fn run(&self, bed: &Bed, options: &Options, report: &mut dyn FnMut(Outcome)) -> Result<()> {
        let mut left: Vec<Scenario> = self.scenarios.clone();
        let mut again: Vec<String> = Vec::new();
        while !left.is_empty() {
            let mut current: Option<String> = None;
            let batch = left.clone();
            let broken = self.boot(bed, options, &batch, &mut current, &mut |outcome| {
                left.retain(|s| s.name != outcome.name);
                report(outcome);
            })?;
            let Some(why) = broken else { break };
            // Each boot settles at least the scenario it broke in, or is the only one that does not, so this ends.
            let Some(name) = current else {
                // The guest broke outside of any scenario: the next boot would do the same.
                for scenario in left.drain(..) {
                    report(failed(&scenario.name, &why));
                }
                break;
            };
            // Said, and tried once more: a CPU that computes wrong tells nothing about what runs on it.
            if let Some(flags) = console::impossible_flags(&why)
                && !again.contains(&name)
            {
                eprintln!(
                    "xtask: {} {name}: the emulator broke the guest (EFLAGS {flags}, which no CPU has); once more",
                    self.kernel
                );
                again.push(name);
                continue;
            }
            left.retain(|s| s.name != name);
            report(failed(&name, &why));
        }
        for scenario in left {
            report(failed(&scenario.name, &["the runner ended without a result for it".to_owned()]));
        }
        Ok(())
    }

    /// Boots once and runs what is left. Gives what happened when the guest broke, with the scenario that was running.
    fn boot(
        &self,
        bed: &Bed,
        options: &Options,
        left: &[Scenario],
        current: &mut Option<String>,
        report: &mut dyn FnMut(Outcome),
    ) -> Result<Option<Vec<String>>> {
        let mut command = vec!["scenarios".to_owned(), "run".to_owned()];
        command.extend(["--smp".to_owned(), self.smp.to_string()]);
        command.extend(["--nomod".to_owned(), u8::from(self.nomod).to_string()]);
        for scenario in left {
            command.extend(["--only".to_owned(), scenario.name.clone()]);
        }
        let mut machine = bed.machine(&Options { smp: self.smp, ..options.clone() }, &command, &[])?;
        if self.prometheus {
            machine.initramfs.push(Arc::new(prometheus::prepare()?.initramfs()?));
            machine.memory = machine.memory.max(prometheus::MEMORY);
        }
        if self.nomod {
            machine.append.push("hv.nomod=1".to_owned());
        }
        let mut guest = Guest::start(&machine)?;
        let mut run = Run::default();
        let mut lines = Lines::default();
        let mut deadline = Instant::now() + BOOT_TIME;
        let broken = loop {
            match guest.next(deadline)? {
                Event::Output(bytes) => {
                    for line in lines.push(&bytes) {
                        if let Some(outcome) = run.line(&line) {
                            report(outcome);
                        }
                    }
                    // Time counts from the runner's last word.
                    let limit = run.current.as_ref().and_then(|n| left.iter().find(|s| s.name == *n));
                    deadline =
                        Instant::now() + limit.map_or(BOOT_TIME, |s| Duration::from_secs(s.timeout) + GRACE);
                }
                Event::Console(line) => run.console.push(line),
                Event::Ended(Ending::Exit(_)) if run.done => break None,
                Event::Ended(Ending::Exit(status)) => {
                    break Some(format!("the runner ended with status {status} before it was done"));
                }
                Event::Ended(Ending::Broken(why)) => break Some(why),
                Event::Deadline => break Some("time-out: the guest hangs, it says nothing more".to_owned()),
            }
        };
        current.clone_from(&run.current);
        Ok(broken.map(|why| {
            let mut text = vec![why];
            text.append(&mut run.details);
            text.extend(console::tail(&run.console).iter().map(|l| format!("console: {l}")));
            text
        }))
    }
}

fn failed(name: &str, why: &[String]) -> Outcome {
    Outcome { name: name.to_owned(), seconds: String::new(), failure: Some(why.to_vec()) }
}

/// What the runner has said so far in one boot.
#[derive(Debug, Default)]
struct Run {
    current: Option<String>,
    details: Vec<String>,
    console: Vec<String>,
    console_at_begin: usize,
    done: bool,
}

impl Run {
    /// Takes a line of the runner; gives a result when the line is one.
    fn line(&mut self, line: &str) -> Option<Outcome> {
        match parse_line(line) {
            Line::Begin(name) => {
                self.current = Some(name);
                self.details.clear();
                self.console_at_begin = self.console.len();
            }
            Line::Detail(text) | Line::Other(text) => self.details.push(text),
            Line::Pass(name, seconds) => {
                self.current = None;
                return Some(Outcome { name, seconds, failure: None });
            }
            Line::Fail(name, seconds) => {
                self.current = None;
                let mut failure = std::mem::take(&mut self.details);
                let said = &self.console[self.console_at_begin.min(self.console.len())..];
                let from = said.len().saturating_sub(CONSOLE_LINES);
                failure.extend(said[from..].iter().map(|l| format!("console: {l}")));
                return Some(Outcome { name, seconds, failure: Some(failure) });
            }
            Line::Done => self.done = true,
        }
        None
    }
}

fn parse_line(line: &str) -> Line {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let name = words.next().map(str::to_owned);
    let seconds = words.next().unwrap_or_default().to_owned();
    match (first, name) {
        ("begin", Some(name)) => Line::Begin(name),
        ("pass", Some(name)) => Line::Pass(name, seconds),
        ("fail", Some(name)) => Line::Fail(name, seconds),
        ("done", Some(_)) => Line::Done,
        ("|", _) => {
            Line::Detail(line.trim_start().trim_start_matches('|').trim_start_matches(' ').to_owned())
        }
        _ => Line::Other(line.to_owned()),
    }
}

fn parse_scenario(line: &str) -> Result<Scenario> {
    let mut words = line.split_whitespace();
    let name = words.next().context("no name")?.to_owned();
    let mut scenario = Scenario { name, smp: 1, nomod: false, prometheus: false, timeout: 60 };
    for word in words {
        match word.split_once('=') {
            Some(("smp", n)) => scenario.smp = n.parse().context("smp is no number")?,
            Some(("nomod", n)) => scenario.nomod = n != "0",
            Some(("prometheus", n)) => scenario.prometheus = n != "0",
            Some(("timeout", n)) => scenario.timeout = n.parse().context("timeout is no number")?,
            _ => bail!("unknown word {word}"),
        }
    }
    Ok(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() -> Result<()> {
        let scenario = parse_scenario("ring-full smp=2 nomod=0 prometheus=1 timeout=45")?;
        let name = "ring-full".to_owned();
        assert_eq!(scenario, Scenario { name, smp: 2, nomod: false, prometheus: true, timeout: 45 });
        assert!(
            parse_scenario("").is_err()
                && parse_scenario("a smp=x").is_err()
                && parse_scenario("a b").is_err()
        );
        Ok(())
    }

    #[test]
    fn scenarios_are_grouped_by_machine() -> Result<()> {
        let all: Vec<_> = [
            "a smp=1",
            "b smp=2 nomod=0",
            "c smp=1 nomod=0 prometheus=0",
            "d smp=1 nomod=1",
            "e prometheus=1",
        ]
        .iter()
        .map(|l| parse_scenario(l))
        .collect::<Result<_>>()?;
        let names = |g: &Group| g.scenarios.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let groups = group("6.1", &all, &[]);
        assert_eq!(
            groups.iter().map(names).collect::<Vec<_>>(),
            [vec!["a", "c"], vec!["e"], vec!["d"], vec!["b"]]
        );
        assert_eq!(groups[0].weight(), 120);
        let only = group("6.1", &all, &["b".to_owned()]);
        assert_eq!(only.iter().map(names).collect::<Vec<_>>(), [vec!["b"]]);
        Ok(())
    }

    #[test]
    fn the_protocol_is_followed() {
        let mut run = Run::default();
        assert_eq!(run.line("begin echo"), None);
        assert_eq!(run.current.as_deref(), Some("echo"));
        let passed = run.line("pass echo 1.25");
        assert_eq!(
            passed,
            Some(Outcome { name: "echo".to_owned(), seconds: "1.25".to_owned(), failure: None })
        );
        assert_eq!(run.current, None);

        assert_eq!(run.line("begin ring"), None);
        run.console.push("guest: stuck".to_owned());
        assert_eq!(run.line("| expected 3"), None);
        assert_eq!(run.line("|   got 4"), None);
        let failure = run.line("fail ring 2.0").and_then(|o| o.failure);
        assert_eq!(
            failure,
            Some(["expected 3", "got 4", "console: guest: stuck"].map(str::to_owned).to_vec())
        );

        assert!(!run.done);
        assert_eq!(run.line("done 1 1"), None);
        assert!(run.done);
    }

    #[test]
    fn a_detail_of_one_scenario_is_not_shown_with_the_next() {
        let mut run = Run::default();
        for line in ["begin a", "| noise", "pass a 1", "begin b"] {
            run.line(line);
        }
        assert_eq!(run.line("fail b 1").and_then(|o| o.failure), Some(Vec::new()));
    }
}
