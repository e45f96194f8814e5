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
pub(super) struct KernelLog {
    logger: Option<EbpfLogger<ToStderrRef>>,
    verbose: bool,
    epoch: u32,
}

type ToStderrRef = &'static dyn Log;

impl KernelLog {
    /// Begins to listen, and says how every event is attached.
    pub(super) fn begin(live: &mut Live, verbose: bool) -> Self {
        if !verbose {
            return Self { logger: None, verbose, epoch: live.epoch() };
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
        for (phase, time) in live.loaded().timing.phases() {
            let _ = writeln!(std::io::stderr(), "start {phase} {:.1} ms", time.as_secs_f64() * 1e3);
        }
        let logger = match EbpfLogger::init_with_logger(&mut live.loaded_mut().ebpf, &ToStderr as ToStderrRef)
        {
            Ok(logger) => Some(logger),
            Err(error) => {
                let _ =
                    writeln!(std::io::stderr(), "hvsock-top: no log lines from the eBPF programs: {error}");
                None
            }
        };
        Self { logger, verbose, epoch: live.epoch() }
    }

    /// Shows what has come since; begins anew when hv_sock was loaded anew.
    pub(super) fn follow(&mut self, live: &mut Live) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        if live.epoch() != self.epoch {
            *self = Self::begin(live, self.verbose);
        }
    }
}
