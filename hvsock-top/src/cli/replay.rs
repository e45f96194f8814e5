//! `hvsock-top replay FILE`: a recording as it would have been seen.

use std::io::{self, IsTerminal as _};

use super::{
    Failure,
    input::{Input, Origin, ReplayArgs},
    json,
    judging::JudgeArgs,
    signals::Stop,
    table,
};

/// On a terminal the table, at the recording's pace; else its Snapshots, as fast as they are taken.
pub(super) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return table::run(&Origin::Paced(&args.file, args.speed));
    }
    let stop = Stop::listen()?;
    let input = Input::open(&Origin::Recording(&args.file), json::INTERVAL)?;
    json::print(input, JudgeArgs::default().judging(), &stop, None, false)
}
