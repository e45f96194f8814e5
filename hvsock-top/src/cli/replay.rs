//! `hvsock-top replay FILE`: a recording as it would have been seen.

use std::io::{self, IsTerminal as _};

use super::{
    Failure,
    input::{Input, Origin, ReplayArgs},
    json,
    judging::JudgeArgs,
    signals::Stop,
    tui::{self, Shown},
};

/// On a terminal the terminal interface, at the recording's pace; else its Snapshots, as fast as they are taken.
pub(super) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return tui::run(&Shown::Recording(&args.file, args.speed), &args.tui);
    }
    let stop = Stop::listen()?;
    let input = Input::open(&Origin::Recording(&args.file), json::INTERVAL)?;
    json::print(input, JudgeArgs::default().judging(), &stop, None, false)
}
