//! Judging Snapshots as the command line says.

use clap::Args;

use crate::{
    findings::{Judge, Limits},
    model::Snapshot,
};

/// Options of all commands that look for what is wrong.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct JudgeArgs {
    /// Set a threshold of a finding, such as stall_ms=500; `hvsock-top findings --rules` lists them
    #[arg(long, value_name = "NAME=VALUE", value_parser = threshold)]
    threshold: Vec<String>,
}

impl JudgeArgs {
    /// Judges what has not been judged; what a recording says was found stays, unless thresholds are given.
    pub(super) fn judging(&self) -> Judging {
        Judging { again: !self.threshold.is_empty(), ..self.judging_again() }
    }

    /// Judges all, whatever a recording says was found.
    pub(super) fn judging_again(&self) -> Judging {
        let mut limits = Limits::default();
        for text in &self.threshold {
            // The parser has tried it.
            let _ = limits.set(text);
        }
        Judging { judge: Judge::new(limits), again: true }
    }
}

fn threshold(text: &str) -> Result<String, String> {
    Limits::default().set(text).map(|()| text.to_owned())
}

/// Fills in what is wrong.
pub(super) struct Judging {
    judge: Judge,
    again: bool,
}

impl Judging {
    /// Fills in what is wrong.
    pub(super) fn judge(&mut self, snapshot: &mut Snapshot) {
        if self.again || snapshot.findings.is_none() {
            snapshot.findings = Some(self.judge.judge(snapshot));
        }
    }
}
