//! The eBPF programs' own log lines, shown with `--verbose`.

use std::io::Write as _;

use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use crate::collect::Live;

struct ToStderr;

impl Log for ToStderr {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let _ = writeln!(std::io::stderr(), "ebpf {} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}

/// Shows what the programs log; does nothing without `--verbose`.
pub(super) struct KernelLog(Option<EbpfLogger<ToStderrRef>>);

type ToStderrRef = &'static dyn Log;

impl KernelLog {
    /// Begins to listen, and says how every event is attached.
    pub(super) fn begin(live: &mut Live, verbose: bool) -> Self {
        if !verbose {
            return Self(None);
        }
        for verdict in &live.loaded().verdicts {
            let symbol = verdict.symbol.unwrap_or("-");
            let reason = verdict.reason.as_deref().unwrap_or("");
            let _ = writeln!(
                std::io::stderr(),
                "probe {} {symbol} {:?} {reason}",
                verdict.hook.name(),
                verdict.how
            );
        }
        match EbpfLogger::init_with_logger(&mut live.loaded_mut().ebpf, &ToStderr as ToStderrRef) {
            Ok(logger) => Self(Some(logger)),
            Err(error) => {
                let _ =
                    writeln!(std::io::stderr(), "hvsock-top: no log lines from the eBPF programs: {error}");
                Self(None)
            }
        }
    }

    /// Shows what has come since.
    pub(super) fn flush(&mut self) {
        if let Some(logger) = &mut self.0 {
            logger.flush();
        }
    }
}
