//! The probe plan: for every logical event, where it can be seen, what must be known to make sense of it, and whether the tool is blind
//! without it. The events themselves are in `events`; `load` carries the plan out.

use hvsock_common::Hook;

pub use super::events::EVENTS;
use super::{Family, Symbols, tables};

/// Which ends of a function an event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its entry.
    Entry,
    /// Its return, with its arguments.
    Return,
    /// Both.
    Both,
}

/// How to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A BPF trampoline, else a kprobe, on the function.
    Function,
    /// A tracepoint `category:name`; the candidate's symbol is the name.
    Tracepoint {
        /// Its category.
        category: &'static str,
    },
    /// A tracepoint, with the arguments it is called with instead of its record; the candidate's symbol is the name. It is run also where the
    /// kernel runs no other program of a tracepoint, because one is running, or of a kprobe.
    RawTracepoint,
    /// A BPF iterator; the candidate's symbol is its function in the kernel image. It runs when the reader wants it to.
    Iterator,
}

/// One way to see an event.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Function, or tracepoint.
    pub symbol: &'static str,
    /// How.
    pub attach: Attach,
    /// In which family's code it is; `None`: both families come through it.
    pub family: Option<Family>,
}

/// A logical event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Which.
    pub hook: Hook,
    /// Which ends.
    pub step: Step,
    /// Where, best first.
    pub candidates: &'static [Candidate],
    /// Fields of `hvsock_common::Layout` that its handler reads.
    pub needs: &'static [&'static str],
    /// Without it nothing can be said about connections at all.
    pub required: bool,
}

/// The variable that holds the VMBus protocol version.
pub(super) const VMBUS_VERSION: &str = "vmbus_proto_version";

/// Whether any event wants this symbol, or the facts do, or the tables.
pub(super) fn wants(symbol: &str) -> bool {
    symbol == VMBUS_VERSION
        || tables::wants(symbol)
        || EVENTS.iter().any(|event| event.functions().any(|name| name == symbol))
}

/// Every function that some event could sit on.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().flat_map(Event::functions)
}

/// The events of a family: the others are of what it does not have.
pub(super) fn events_of(family: Family) -> impl Iterator<Item = &'static Event> {
    EVENTS.iter().filter(move |event| event.candidates_of(family).next().is_some())
}

/// Whether every event of the family there is that sits on a function has one in `symbols`.
pub(super) fn is_served(symbols: &Symbols) -> bool {
    let Some(family) = Family::of(symbols) else { return false };
    events_of(family).all(|event| {
        event.candidates_of(family).any(|c| c.attach != Attach::Function || symbols.has(c.symbol))
    })
}

/// The programs' names, or those of their empty twins: the part before the first underscore is the kind of program.
pub(super) fn names_of(names: Vec<String>, empty: bool) -> Vec<String> {
    if !empty {
        return names;
    }
    names.iter().map(|name| format!("{}_empty", name.split('_').next().unwrap_or_default())).collect()
}

impl Event {
    /// Where a family has it, best first.
    pub(super) fn candidates_of(&self, family: Family) -> impl Iterator<Item = &'static Candidate> + use<> {
        self.candidates.iter().filter(move |c| c.family.is_none_or(|f| f == family))
    }

    /// The functions it could sit on.
    fn functions(&self) -> impl Iterator<Item = &'static str> {
        self.candidates.iter().filter(|c| c.attach == Attach::Function).map(|c| c.symbol)
    }

    /// Names of the programs that serve this event with trampolines.
    pub fn trampolines(&self) -> Vec<String> {
        let name = self.hook.name();
        match self.step {
            Step::Entry => vec![format!("fe_{name}")],
            Step::Return => vec![format!("fx_{name}")],
            Step::Both => vec![format!("fe_{name}"), format!("fx_{name}")],
        }
    }

    /// Names of the programs that serve it with kprobes, in the order in which they are attached. Where an entry without its return would be noted
    /// for ever, the return comes first. Where a return without its entry would pass for one that was missed, the entry does.
    pub fn kprobes(&self) -> Vec<String> {
        let name = self.hook.name();
        match self.step {
            Step::Entry => vec![format!("kp_{name}")],
            Step::Return => vec![format!("kp_{name}"), format!("kr_{name}")],
            Step::Both => vec![format!("kr_{name}"), format!("kp_{name}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hvsock_common::Layout;

    use super::*;

    #[test]
    fn no_event_is_planned_twice_and_every_need_is_a_field() {
        let mut seen = BTreeSet::new();
        for event in EVENTS {
            assert!(seen.insert(event.hook), "{:?}", event.hook);
            assert!(!event.candidates.is_empty());
            for need in event.needs {
                assert!(Layout::FIELDS.contains(need), "{need}");
            }
        }
    }

    #[test]
    fn empty_programs_are_of_the_same_kinds() {
        let names = vec!["kr_send_end".to_owned(), "kp_send_end".to_owned()];
        assert_eq!(names_of(names.clone(), true), ["kr_empty", "kp_empty"]);
        assert_eq!(names_of(names.clone(), false), names);
    }

    #[test]
    fn one_function_of_each_event_is_enough_and_none_is_not() {
        let known = |without: Option<Hook>| {
            let first =
                EVENTS.iter().filter(|e| Some(e.hook) != without).filter_map(|e| e.functions().last());
            let lines: Vec<_> = first.map(|name| format!("0 t {name}")).collect();
            Symbols::parse(&lines.join("\n"), |_| true)
        };
        assert!(is_served(&known(None)), "of AF_HYPERV, which comes last");
        assert!(!is_served(&known(Some(Hook::Create))));
        assert!(is_served(&known(Some(Hook::Interrupt))), "it sits on a tracepoint");
    }

    #[test]
    fn both_families_have_what_is_required_and_share_the_bus() {
        for family in [Family::Vsock, Family::AfHyperv] {
            let of = |hook| events_of(family).any(|event| event.hook == hook);
            assert!(EVENTS.iter().filter(|event| event.required).all(|event| of(event.hook)));
            assert!(of(Hook::RingWrite) && of(Hook::Interrupt) && of(Hook::Inventory));
            assert_eq!(of(Hook::Socket), family == Family::AfHyperv);
            assert_eq!(of(Hook::CloseTimeout), family == Family::Vsock);
        }
    }

    #[test]
    fn the_open_is_attached_after_all_that_happens_inside_it() {
        let at = |hook| EVENTS.iter().position(|e| e.hook == hook);
        for inside in
            [Hook::Lookup, Hook::Create, Hook::Transport, Hook::RingAlloc, Hook::HostOpen, Hook::Established]
        {
            assert!(at(inside) < at(Hook::Open), "{inside:?}");
        }
    }
}
