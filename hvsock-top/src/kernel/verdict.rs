//! What became of each event, and of the attempt as a whole.

use std::io;

use hvsock_common::Hook;

use super::{Blind, EVENTS, Event, Symbols};

/// What became of an event.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Which.
    pub hook: Hook,
    /// The function or tracepoint it sits on.
    pub symbol: Option<&'static str>,
    /// How it is attached.
    pub how: How,
    /// Why not, or why not better.
    pub reason: Option<String>,
    /// Whether it is not attached because the kernel refused it for want of privilege.
    pub refused: bool,
    /// Whether the tool is blind without it.
    pub required: bool,
}

/// How an event is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By trampoline.
    Trampoline,
    /// By kprobe.
    Kprobe,
    /// By tracepoint.
    Tracepoint,
    /// By iterator.
    Iterator,
    /// Not: the kernel does not have it.
    Unavailable,
    /// Not: the caller forbade it.
    Denied,
    /// Not: it should have worked.
    Failed,
}

impl Verdict {
    /// Nothing is known yet.
    pub(super) fn unavailable(event: &Event) -> Self {
        Self {
            hook: event.hook,
            symbol: None,
            how: How::Unavailable,
            reason: None,
            refused: false,
            required: event.required,
        }
    }

    /// Whether the event is seen.
    pub fn is_active(&self) -> bool {
        matches!(self.how, How::Trampoline | How::Kprobe | How::Tracepoint | How::Iterator)
    }
}

/// The kernel cannot be observed; nothing is attached any more.
#[derive(Debug)]
pub struct NotLoaded {
    /// Why.
    pub blind: Blind,
    /// What became of every event: those that did attach have been detached again.
    pub verdicts: Vec<Verdict>,
    /// Whether each event was tried by itself; else one reason holds for all.
    pub each: bool,
}

impl NotLoaded {
    /// It failed before any event could be tried.
    pub(super) fn at_all(blind: Blind, symbols: &Symbols) -> Self {
        let refused = blind.is_privilege();
        let verdict = |event: &Event| Verdict {
            symbol: event.candidates.iter().map(|c| c.symbol).find(|symbol| symbols.has(symbol)),
            how: if refused { How::Failed } else { How::Unavailable },
            reason: Some(format!("not tried: {blind}")),
            refused,
            ..Verdict::unavailable(event)
        };
        let verdicts = EVENTS.iter().map(verdict).collect();
        Self { blind, verdicts, each: false }
    }
}

impl From<NotLoaded> for Blind {
    fn from(failed: NotLoaded) -> Self {
        failed.blind
    }
}

/// Why something did not work.
#[derive(Debug)]
pub(super) struct Why {
    /// All causes in one line.
    pub text: String,
    /// Whether the kernel refused it for want of privilege.
    pub refused: bool,
}

impl Why {
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut refused = false;
        let mut cause = Some(error);
        while let Some(e) = cause {
            let number = e.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
            refused |= matches!(number, Some(libc::EPERM | libc::EACCES));
            cause = e.source();
        }
        Self { text: words(error), refused }
    }

    /// The same, with what failed.
    pub(super) fn at(self, action: &str) -> Self {
        Self { text: format!("{action} failed: {}", self.text), ..self }
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self { text, refused: false }
    }
}

/// An error with all its causes, in one line.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(e) = cause {
        words.push(e.to_string());
        cause = e.source();
    }
    words.dedup();
    one_line(&words.join(": "))
}

/// The verifier's log has many lines, of which the last ones say what is wrong.
fn one_line(text: &str) -> String {
    const LAST: usize = 7;
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.split_first() {
        Some((first, rest)) if rest.len() > LAST => {
            format!("{first} | … | {}", rest[rest.len() - LAST..].join(" | "))
        }
        _ => lines.join(" | "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("attaching failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_refusal_is_told_from_other_failures_however_deep_it_lies() {
        let of = |number| Why::of(&Outer(io::Error::from_raw_os_error(number)));
        assert!(of(libc::EPERM).refused && of(libc::EACCES).refused);
        assert!(of(libc::EPERM).at("something").refused);
        let other = of(libc::EINVAL);
        assert!(!other.refused);
        assert!(other.text.starts_with("attaching failed: Invalid argument"), "{}", other.text);
    }

    #[test]
    fn a_long_log_becomes_one_line_with_its_beginning_and_its_end() {
        let log = (0..50).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n") + "\n";
        let told = one_line(&format!("not loaded: {log}\n: Invalid argument"));
        assert!(told.starts_with("not loaded: line 0 | … | line 44 | "), "{told}");
        assert!(told.ends_with(" | line 49 | : Invalid argument"), "{told}");
        assert_eq!(one_line("short"), "short");
    }

    #[test]
    fn when_nothing_could_be_tried_every_event_says_why() {
        let symbols = Symbols::parse("0 t hvs_probe [hv_sock]", |_| true);
        let failed = NotLoaded::at_all(Blind::NoHvSock, &symbols);
        assert_eq!(failed.verdicts.len(), EVENTS.len());
        for verdict in &failed.verdicts {
            assert!(!verdict.is_active() && !verdict.refused && verdict.how == How::Unavailable);
            assert!(verdict.reason.as_deref().is_some_and(|r| r.contains("hv_sock is not loaded")));
            assert_eq!(verdict.symbol, (verdict.hook == Hook::Open).then_some("hvs_probe"));
        }
    }
}
