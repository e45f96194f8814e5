//! `hvsock-top serve`: metrics, Snapshots and health over HTTP.

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Failure,
    input::{FromFile, Input, speed},
    judging::JudgeArgs,
    live::{LiveArgs, interval},
    signals::Stop,
};
use crate::{
    export::{
        Board,
        http::{Address, Server, StartError},
    },
    kernel,
};

/// Options of `serve`.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// Where to listen: an address and port of TCP, or vsock:PORT for the host; may be given several times
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: Vec<Address>,
    /// Time between Snapshots, such as 1s or 200ms; a scrape gets the newest
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// So many ports have series of their own, the first that are seen; all others share port="other"
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_ports: usize,
    /// How many times as fast as it was recorded, with --replay
    #[arg(long, default_value = "1", value_name = "N", value_parser = speed, requires = "replay")]
    speed: f64,
    #[command(flatten)]
    from: FromFile,
    #[command(flatten)]
    judge: JudgeArgs,
}

pub(super) fn run(args: &ServeArgs, live: &LiveArgs) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let board = Arc::new(Board::new(args.interval, args.max_ports));
    // Before anything is attached: a bad address is told at once, and a port below 1024 needs a privilege that is given up next.
    let server = Server::start(&args.listen, Arc::clone(&board), || {
        // Capabilities belong to threads. Whether it worked is seen when the others are given up.
        let _ = kernel::renounce();
    })?;
    let mut input = Input::open(&args.from.paced(live, args.speed), args.interval)?;
    let mut judging = args.judge.judging();
    let mut opened = false;
    while let Some(mut snapshot) = input.next(&stop)? {
        judging.judge(&mut snapshot);
        board.publish(snapshot);
        if !opened {
            opened = true;
            server.open();
            tell(&server);
        }
        if !server.is_running() {
            return Err(anyhow::anyhow!("the HTTP server has ended by itself").into());
        }
    }
    // A recording is over before those who look at it are.
    if input.is_replay() && !stop.is_asked() {
        let _ = writeln!(std::io::stderr(), "hvsock-top: the recording is over; its last Snapshot stays");
        while stop.sleep_until(Instant::now() + Duration::from_hours(1)) {}
    }
    server.end();
    Ok(())
}

/// Says where it listens: with port 0 nobody could know.
fn tell(server: &Server) {
    let _ = writeln!(std::io::stderr(), "hvsock-top: serving at {}", server.addresses().join(" and "));
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Listen(error) if error.is_privilege() => {
                Self::privilege(error.to_string(), error.remedy())
            }
            StartError::Listen(error) => Self::new(error.to_string(), error.remedy()),
            StartError::Io(error) => Self::new(
                format!("cannot start the HTTP server: {error}"),
                "check the limits on processes and open files (ulimit -u, ulimit -n)",
            ),
        }
    }
}
