//! Attaching one event in the ways that the plan names, and saying what became of it.

use std::time::Instant;

use aya::programs::{KProbe, RawTracePoint, TracePoint};
use hvsock_common::Hook;

use super::{
    Attach, Candidate, Event, How, Symbols, TypeInfo, Verdict,
    iterator::Iterator,
    kprobe,
    loaded::{LoadOptions, Loaded},
    plan,
    trampoline::Trampolines,
    verdict::Why,
};

/// What attaching needs to know of the kernel, and what the caller wants.
pub(super) struct Means<'a> {
    pub(super) symbols: &'a Symbols,
    pub(super) types: &'a TypeInfo,
    /// The programs for trampolines, or why there are none.
    pub(super) trampolines: Result<Trampolines, String>,
    pub(super) options: &'a LoadOptions,
}

/// How an event is attached, and why not in a better way.
type Attached = (How, Option<String>);

impl Loaded {
    /// Attaches an event to the first of its places that this kernel has.
    pub(super) fn attach(&mut self, event: &Event, means: &mut Means<'_>) -> Verdict {
        let mut verdict = Verdict::unavailable(event);
        if means.options.deny.iter().any(|name| name == event.hook.name()) {
            verdict.how = How::Denied;
            verdict.reason = Some("denied on the command line".into());
            return verdict;
        }
        if let Some(field) = self.fields.first_missing(event.needs) {
            verdict.reason = Some(self.fields.missing[field].clone());
            return verdict;
        }
        let there = |c: &&Candidate| !matches!(c.attach, Attach::Function) || means.symbols.has(c.symbol);
        let family = self.facts.family;
        let Some(candidate) = event.candidates_of(family).find(there) else {
            let names: Vec<_> = event.candidates_of(family).map(|c| c.symbol).collect();
            verdict.reason =
                Some(format!("this kernel has no function {} (or it is inlined)", names.join(" or ")));
            return verdict;
        };
        verdict.symbol = Some(candidate.symbol);
        let attached = match candidate.attach {
            Attach::Function => self.function(event, candidate.symbol, means),
            Attach::Tracepoint { category } => {
                let names = plan::names_of(vec![format!("tp_{}", event.hook.name())], means.options.empty);
                self.tracepoint(&names[0], category, candidate.symbol).map(|()| (How::Tracepoint, None))
            }
            Attach::RawTracepoint => {
                let names = plan::names_of(vec![format!("rt_{}", event.hook.name())], means.options.empty);
                self.raw_tracepoint(&names[0], candidate.symbol).map(|()| (How::Tracepoint, None))
            }
            Attach::Iterator => self.inventory(candidate.symbol, means).map(|()| (How::Iterator, None)),
        };
        match attached {
            Ok((how, reason)) => {
                verdict.how = how;
                verdict.reason = reason;
            }
            Err(Why { text, refused }) => {
                verdict.how = How::Failed;
                verdict.reason = Some(text);
                verdict.refused = refused;
            }
        }
        verdict
    }

    /// By trampolines, else by kprobes.
    fn function(
        &mut self,
        event: &Event,
        symbol: &'static str,
        means: &mut Means<'_>,
    ) -> Result<Attached, Why> {
        let options = means.options;
        let names = plan::names_of(event.trampolines(), options.empty);
        let by_trampoline = match &mut means.trampolines {
            _ if options.kprobes_only => Err("kprobes were asked for".to_owned()),
            Ok(trampolines) => {
                let module = means.symbols.module_of(symbol);
                trampolines.attach(event.hook, &names, module, symbol, means.types, &mut self.timing)
            }
            Err(why) => Err(why.clone()),
        };
        match by_trampoline {
            Ok(links) => {
                self.trampolines.insert(event.hook, links);
                Ok((How::Trampoline, None))
            }
            Err(first) => {
                let kprobes = plan::names_of(event.kprobes(), options.empty);
                self.kprobes(event.hook, &kprobes, symbol).map_err(|why| Why {
                    text: format!("{} (and no trampoline: {first})", why.text),
                    refused: why.refused,
                })?;
                Ok((How::Kprobe, Some(format!("no trampoline: {first}"))))
            }
        }
    }

    fn inventory(&mut self, symbol: &'static str, means: &Means<'_>) -> Result<(), Why> {
        let programs = means.trampolines.as_ref().map_err(|why| Why::from(why.clone()))?;
        self.iterator = Some(Iterator::attach(programs, symbol, means.types).map_err(Why::from)?);
        Ok(())
    }

    fn kprobes(&mut self, hook: Hook, names: &[String], symbol: &str) -> Result<(), Why> {
        let begin = Instant::now();
        for name in names {
            let program: &mut KProbe = self.program(name)?;
            if program.fd().is_err() {
                program.load().map_err(|e| Why::of(&e))?;
            }
        }
        self.timing.add("load", begin.elapsed());
        let begin = Instant::now();
        if self.counts_skipped {
            let mut attached = Vec::new();
            for name in names {
                let program: &mut KProbe = self.program(name)?;
                let probe = kprobe::Attached::new(name, program, symbol);
                attached.push(probe.map_err(|e| Why::of(&e).at(&format!("attaching a kprobe to {symbol}")))?);
            }
            self.kprobes.insert(hook, attached);
        } else {
            self.untold_kprobes(names, symbol)?;
        }
        self.timing.add("attach", begin.elapsed());
        Ok(())
    }

    /// Kprobes of a kernel that does not say what they miss.
    fn untold_kprobes(&mut self, names: &[String], symbol: &str) -> Result<(), Why> {
        let mut attached = Vec::new();
        for name in names {
            let program: &mut KProbe = self.program(name)?;
            match program.attach(symbol, 0) {
                Ok(link) => attached.push((name, link)),
                Err(e) => {
                    // Half a pair is worse than none.
                    for (name, link) in attached {
                        let program: &mut KProbe = self.program(name)?;
                        program.detach(link).map_err(|e| Why::of(&e))?;
                    }
                    return Err(Why::of(&e));
                }
            }
        }
        Ok(())
    }

    fn raw_tracepoint(&mut self, program: &str, name: &str) -> Result<(), Why> {
        let program: &mut RawTracePoint = self.program(program)?;
        let begin = Instant::now();
        if program.fd().is_err() {
            program.load().map_err(|e| Why::of(&e))?;
        }
        let loaded = begin.elapsed();
        program.attach(name).map_err(|e| Why::of(&e))?;
        self.timing.add("load", loaded);
        self.timing.add("attach", begin.elapsed().saturating_sub(loaded));
        Ok(())
    }

    fn tracepoint(&mut self, program: &str, category: &str, name: &str) -> Result<(), Why> {
        let program: &mut TracePoint = self.program(program)?;
        let begin = Instant::now();
        if program.fd().is_err() {
            program.load().map_err(|e| Why::of(&e))?;
        }
        let loaded = begin.elapsed();
        program.attach(category, name).map_err(|e| Why::of(&e))?;
        self.timing.add("load", loaded);
        self.timing.add("attach", begin.elapsed().saturating_sub(loaded));
        Ok(())
    }
}
