//! `hvsock-top lookup live`: the lookup in the running kernel.

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;

use super::{print, text_live};
use crate::{
    cli::{
        Failure,
        live::{LiveArgs, interval},
        signals::Stop,
    },
    collect::Live,
    lookup::live::{self, LiveReport, SCHEMA},
    model::Source as _,
};

/// Where VMBus devices are listed.
const DEVICES: &str = "/sys/bus/vmbus/devices";

/// Options of `lookup live`.
#[derive(Args, Debug)]
pub(super) struct LiveLookupArgs {
    /// How long to watch opens, such as 10s
    #[arg(long = "for", default_value = "5s", value_name = "TIME", value_parser = interval)]
    time: Duration,
    /// Print the report as JSON, one object
    #[arg(long)]
    json: bool,
    /// Print the JSON Schema of the report instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

/// Watches, reads the tables at the end, and prints what came out. Whoever says stop gets what was seen until then.
pub(super) fn run(args: &LiveLookupArgs, options: &LiveArgs) -> Result<ExitCode, Failure> {
    let stop = Stop::listen()?;
    let mut source = Live::attach(&options.options())?;
    let mut look = || -> Result<_, Failure> {
        source.snapshot()?.ok_or_else(|| Failure::from(anyhow::anyhow!("the kernel gives no Snapshot")))
    };
    let then = look()?;
    if !args.json && io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "watching for {:?} …", args.time);
    }
    stop.sleep_until(Instant::now() + args.time);
    let now = look()?;
    let channels = fs::read_dir(DEVICES).ok().map(|entries| entries.count() as u64);
    let window = live::window(&then, &now, channels);
    let tables = source.tables();
    let report = LiveReport {
        schema: SCHEMA,
        time: jiff::Timestamp::now().to_string(),
        kernel: now.host.kernel.clone(),
        family: Some(now.host.family),
        tables_unread: tables.as_ref().err().cloned(),
        tables: tables.ok().map(Into::into),
        observed_ns: window.observed_ns,
        lookups: window.lookups,
        lookups_per_second: window
            .lookups
            .filter(|_| window.observed_ns > 0)
            .map(|lookups| lookups as f64 * 1e9 / window.observed_ns as f64),
        phases: window.phases,
        scan: window.scan,
        unseen: window.unseen,
    };
    let printed = if args.json {
        serde_json::to_string(&report).map(|text| text + "\n").map_err(anyhow::Error::from)?
    } else {
        text_live::live(&report)
    };
    print(&printed)?;
    Ok(ExitCode::SUCCESS)
}
