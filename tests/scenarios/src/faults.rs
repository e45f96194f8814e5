//! Faults of the guest's kernel, which the host's module brings about; see tests/hvhost/inject.c.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::host;

use crate::steps;

/// EFAULT, as functions return it.
const EFAULT: i64 = -14;

/// A fault that waits for its calls.
pub(crate) struct Fault {
    function: String,
    times: u64,
}

impl Fault {
    /// So many calls of `function` will return `result` at once, of those made from inside `inside`.
    pub(crate) fn fail(function: &str, result: i64, times: u64, inside: &str) -> Result<Self> {
        Self::arm("fail", function, &result.to_string(), times, inside)
    }

    /// Of the looks at the kernel's memory that programs take inside `inside`, the next `times` will find it unreadable.
    pub(crate) fn unreadable(times: u64, inside: &str) -> Result<Self> {
        Self::fail("copy_from_kernel_nofault", EFAULT, times, inside)
    }

    /// The next call of `function` from inside `inside` will begin so many milliseconds later.
    pub(crate) fn delay(function: &str, ms: u64, inside: &str) -> Result<Self> {
        Self::arm("delay", function, &ms.to_string(), 1, inside)
    }

    /// The next call of `function` from inside `inside` will return so many milliseconds later.
    pub(crate) fn pause(function: &str, ms: u64, inside: &str) -> Result<Self> {
        Self::arm("pause", function, &ms.to_string(), 1, inside)
    }

    /// Before the next call of `function` from inside `inside` there will be one of `other`.
    pub(crate) fn nest(function: &str, other: &str, inside: &str) -> Result<Self> {
        Self::arm("nest", function, other, 1, inside)
    }

    /// At the next call of `function` from inside `inside` there will be one of `other`, in the handler of a kprobe: where no other kprobe is
    /// handled.
    pub(crate) fn within(function: &str, other: &str, inside: &str) -> Result<Self> {
        Self::arm("within", function, other, 1, inside)
    }

    fn arm(how: &str, function: &str, value: &str, times: u64, inside: &str) -> Result<Self> {
        host::host(&format!("{how} {function} {value} {times} {inside}"))?;
        Ok(Self { function: function.to_owned(), times })
    }

    /// Waits until it has come about as often as it should.
    pub(crate) fn wait(&self) -> Result<()> {
        let what = format!("{} calls of {} have gone wrong", self.times, self.function);
        steps::wait_ledger(&what, |l| self.of(l).is_some_and(|f| f.left == 0)).map(drop)
    }

    /// The same, and takes it away. It must not have come about more often.
    pub(crate) fn end(self) -> Result<()> {
        self.wait()?;
        let ledger = host::ledger()?;
        let done = self.of(&ledger).context("the fault is not in the ledger")?.done;
        ensure!(done == self.times, "{} went wrong {done} times, not {}", self.function, self.times);
        host::host("mend")
    }

    /// The last one of this function. Since 6.10 the names of functions that allocate end in `_noprof`.
    fn of<'a>(&self, ledger: &'a hvsock_guest::ledger::Ledger) -> Option<&'a hvsock_guest::ledger::Fault> {
        let same = |f: &&hvsock_guest::ledger::Fault| f.function.trim_end_matches("_noprof") == self.function;
        ledger.faults.iter().filter(same).max_by_key(|f| f.id)
    }
}
