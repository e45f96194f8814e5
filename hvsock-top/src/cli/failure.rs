//! Failures as people and scripts see them: what happened, what to do, an exit code.

use std::{io::Write as _, process::ExitCode};

use crate::{
    kernel::Blind,
    record::{OutputError, ReadError},
};

/// A failure that ends the program.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    remedy: String,
    code: u8,
}

impl Failure {
    /// The answer is bad news (findings, doctor), or an output failed.
    pub(crate) const BAD_NEWS: u8 = 1;
    /// The command line makes no sense.
    pub(crate) const USAGE: u8 = 2;
    /// Not enough privilege.
    pub(crate) const PRIVILEGE: u8 = 3;
    /// This kernel cannot be observed.
    pub(crate) const BLIND: u8 = 4;

    /// A failure of an output or the like.
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: Self::BAD_NEWS }
    }

    /// Something needs more privilege.
    pub(crate) fn privilege(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: Self::PRIVILEGE }
    }

    /// This kernel cannot do what it takes.
    pub(crate) fn blind(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: Self::BLIND }
    }

    /// Writing to stdout failed; not for a closed pipe, which is no failure.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        Self::new(
            format!("writing to stdout failed: {error}"),
            "check that there is room where the output goes; all lines before this one are whole",
        )
    }

    /// What was asked for makes no sense.
    pub(crate) fn senseless(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code: Self::USAGE }
    }

    /// A command that was to be run cannot be; the code is a shell's.
    pub(crate) fn of_command(what: impl Into<String>, remedy: impl Into<String>, code: u8) -> Self {
        Self { what: what.into(), remedy: remedy.into(), code }
    }

    /// The terminal interface was asked for where it cannot be shown.
    pub(crate) fn no_terminal() -> Self {
        Self {
            what: "stdout is not a terminal, so there is nowhere to show anything on".to_owned(),
            remedy: "use `hvsock-top json` or `hvsock-top events` for a file or a pipe".to_owned(),
            code: Self::USAGE,
        }
    }

    /// What happened, and what to do.
    pub(crate) fn into_parts(self) -> (String, String) {
        (self.what, self.remedy)
    }

    /// Says it on stderr.
    pub(crate) fn report(&self) -> ExitCode {
        // Nothing more can be done when stderr is closed too.
        let _ = writeln!(std::io::stderr(), "hvsock-top: {}\n  {}", self.what, self.remedy);
        ExitCode::from(self.code)
    }
}

impl From<Blind> for Failure {
    fn from(blind: Blind) -> Self {
        let code = if blind.is_privilege() { Self::PRIVILEGE } else { Self::BLIND };
        Self { what: blind.to_string(), remedy: blind.remedy().to_owned(), code }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(error.to_string(), error.remedy())
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::new(error.what, error.remedy)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // A recording is a Source like any other, and what is wrong with it comes this way.
        let error = match error.downcast::<ReadError>() {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        Self::new(format!("{error:#}"), "this should not happen; please report it with the kernel version")
    }
}

/// Help and version go to stdout and are no failure; anything else is one line of what and one of what to do.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(Failure::USAGE)
        }
        _ => {
            let text = error.to_string();
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            let what = match (error.kind(), text.lines().nth(1)) {
                (ErrorKind::MissingRequiredArgument, Some(which)) => format!("{what} {}", which.trim()),
                _ => what,
            };
            Failure {
                what,
                remedy: "`hvsock-top help` lists what can be said".to_owned(),
                code: Failure::USAGE,
            }
            .report()
        }
    }
}
