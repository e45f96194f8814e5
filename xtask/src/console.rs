//! Reads the guest's console: lines, and the signs that the guest is broken.

/// How many of the console's last lines are shown when a run fails.
const TAIL: usize = 40;

/// Splits a byte stream into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes more bytes and gives the lines that are now complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let Some(last) = self.partial.iter().rposition(|b| *b == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(last + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        let text = String::from_utf8_lossy(&complete);
        text.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }

    /// What came after the last line end.
    pub(crate) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).trim_end_matches('\r').to_owned())
    }
}

/// What a kernel prints when something is broken for good, and what to call it. The first that matches counts.
const FATAL: &[(&str, &str)] = &[
    ("Kernel panic - not syncing", "kernel panic"),
    ("BUG: soft lockup", "soft lockup"),
    ("detected hard LOCKUP", "hard lockup"),
    ("blocked for more than", "hung task"),
    ("self-detected stall on CPU", "RCU stall"),
    ("detected stalls on CPUs", "RCU stall"),
    ("detected expedited stalls", "RCU stall"),
    ("kthread starved for", "RCU stall"),
    ("kernel BUG at", "kernel bug"),
    ("Oops: ", "kernel oops"),
    ("general protection fault", "kernel oops"),
    ("Unable to handle kernel", "kernel oops"),
    ("BUG: ", "kernel bug"),
];

/// The name of the failure that this console line tells of, if it does.
pub(crate) fn fatal(line: &str) -> Option<&'static str> {
    // A user program's crash is reported with the same words; that is the program's failure, and its status shows it.
    if line.contains("traps: ") {
        return None;
    }
    FATAL.iter().find(|(words, _)| line.contains(words)).map(|(_, name)| *name)
}

/// The flags of a crash that no CPU can have: bits above 21 of EFLAGS are reserved, and always 0 on a real one.
///
/// QEMU's emulation is known for it: where an instruction wrote what flags are computed from and its access to memory then faulted, that was
/// taken for the flags themselves. What the guest does next, a double fault, says nothing about the kernel.
pub(crate) fn impossible_flags(lines: &[String]) -> Option<&str> {
    lines.iter().find_map(|line| {
        let (_, flags) = line.split_once("EFLAGS: ")?;
        let flags = flags.split_whitespace().next()?;
        (u64::from_str_radix(flags, 16).ok()? >> 22 != 0).then_some(flags)
    })
}

/// The status in init's last line, `hvguest: exit N`.
pub(crate) fn exit_line(line: &str) -> Option<u8> {
    let (_, status) = line.split_once("hvguest: exit ")?;
    status.split_whitespace().next()?.parse().ok()
}

/// The console's last lines; where a kernel broke, from shortly before the place where it says so.
pub(crate) fn tail(console: &[String]) -> &[String] {
    let mut from = console.len().saturating_sub(TAIL);
    if let Some(fatal) = console.iter().position(|line| fatal(line).is_some()) {
        from = from.min(fatal.saturating_sub(TAIL / 4));
    }
    let shown = &console[from..];
    // A kernel that keeps on complaining says nothing new.
    &shown[..shown.len().min(5 * TAIL)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_no_cpu_has_are_the_emulators() {
        let crash = |flags: &str| {
            vec![
                "Oops: double fault".to_owned(),
                format!("[ 43.0] RSP: 0000:ffffc900011fbd00 EFLAGS: {flags}"),
            ]
        };
        assert_eq!(impossible_flags(&crash("3e6fd2c2")), Some("3e6fd2c2"));
        assert_eq!(impossible_flags(&crash("ffffffffffffffff")), Some("ffffffffffffffff"));
        for usual in ["00010246", "00000293", "003f0fd7", "", "none"] {
            assert_eq!(impossible_flags(&crash(usual)), None, "{usual}");
        }
        assert_eq!(impossible_flags(&[]), None);
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        let mut lines = Lines::default();
        assert!(lines.push(b"ab").is_empty());
        assert_eq!(lines.push(b"c\r\nd\n\ne"), ["abc", "d", ""]);
        assert_eq!(lines.rest().as_deref(), Some("e"));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn every_way_to_break_is_seen() {
        for (line, name) in [
            (
                "[    1.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
                "kernel panic",
            ),
            ("[   61.0] watchdog: BUG: soft lockup - CPU#0 stuck for 52s! [guest:77]", "soft lockup"),
            ("[  243.1] INFO: task guest:77 blocked for more than 120 seconds.", "hung task"),
            ("[   21.1] rcu: INFO: rcu_preempt self-detected stall on CPU", "RCU stall"),
            ("[   21.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "RCU stall"),
            ("[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000008", "kernel bug"),
            ("[    3.1] BUG: unable to handle page fault for address: ffffc90000", "kernel bug"),
            ("[    3.1] Oops: 0002 [#1] PREEMPT SMP NOPTI", "kernel oops"),
            (
                "[    3.1] general protection fault, probably for non-canonical address 0x6b: 0000 [#1]",
                "kernel oops",
            ),
            ("[    3.1] kernel BUG at lib/list_debug.c:29!", "kernel bug"),
        ] {
            assert_eq!(fatal(line), Some(name), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not_failures() {
        for line in [
            "hvguest: exit 0",
            "[    2.0] hv_vmbus: Vmbus version:5.3",
            "[    9.9] traps: guest[77] general protection fault ip:4021 sp:7ffe error:0 in guest[400000+1000]",
            "[    1.1] hvhost: loading out-of-tree module taints kernel.",
        ] {
            assert_eq!(fatal(line), None, "{line}");
        }
    }

    #[test]
    fn init_says_the_status() {
        assert_eq!(exit_line("hvguest: exit 3"), Some(3));
        assert_eq!(exit_line("[ 3.4] x hvguest: exit 0"), Some(0));
        assert_eq!(exit_line("hvguest: exit soon"), None);
    }

    #[test]
    fn the_tail_has_the_whole_trace() {
        let mut console: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        assert_eq!(tail(&console).len(), TAIL);
        assert_eq!(tail(&console[..3]).len(), 3);
        console[50] = "BUG: kernel NULL pointer dereference, address: 0".to_owned();
        assert_eq!(tail(&console)[0], "line 40");
    }
}
