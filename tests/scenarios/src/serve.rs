//! A running `hvsock-top serve`, and what it answers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::once;
use crate::steps::LIMIT;

/// How long a start may take: the kernel verifies every program on a CPU that is emulated.
const START: Duration = Duration::from_mins(1);

/// Where it listens in scenarios.
pub(crate) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// A running `hvsock-top serve`; killed when dropped.
pub(crate) struct Serve {
    child: Child,
    lines: Receiver<String>,
}

impl Serve {
    /// Starts it with the loopback interface up, and waits until it answers: from then on it misses nothing.
    pub(crate) fn start(options: &[&str]) -> Result<Self> {
        network()?;
        let mut child = Command::new("hvsock-top")
            .args(["serve", "--interval", "200ms"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let stderr = child.stderr.take().context("no stderr")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut serve = Self { child, lines };
        let first = serve.lines.recv_timeout(START).map_err(|_| serve.died())?;
        ensure!(first.starts_with("hvsock-top: serving at http://127.0.0.1:9464"), "it says: {first}");
        Ok(serve)
    }

    /// Stops it with SIGTERM; it has to end well and have nothing to complain about.
    pub(crate) fn stop(self) -> Result<()> {
        self.terminate()?;
        self.ended()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("hvsock-top has ended already")
    }

    /// Waits until it has ended, well and with nothing to complain about.
    pub(crate) fn ended(mut self) -> Result<()> {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(begun.elapsed() < LIMIT, "hvsock-top does not end within {LIMIT:?}");
            thread::sleep(Duration::from_millis(10));
        };
        let said: Vec<String> = self.lines.iter().collect();
        ensure!(status.success() && said.is_empty(), "it ended with {status} and said: {said:?}");
        Ok(())
    }

    fn died(&mut self) -> anyhow::Error {
        self.child.kill().ok();
        let status = self.child.wait().map_or_else(|e| e.to_string(), |s| s.to_string());
        let said: Vec<String> = self.lines.try_iter().collect();
        anyhow!("hvsock-top does not serve after {START:?}, {status}: {said:?}")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The guest's init leaves the loopback interface down.
pub(crate) fn network() -> Result<()> {
    let ended = once::shell("ip link set lo up")?;
    ensure!(ended.code == Some(0), "no loopback interface: {ended:?}");
    Ok(())
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    /// The rest.
    pub(crate) body: String,
    /// Bytes of all of it.
    pub(crate) bytes: usize,
}

/// Asks for `path`, and for this media type unless it is empty.
pub(crate) fn get(address: SocketAddr, path: &str, accept: &str) -> Result<Answer> {
    let accept = if accept.is_empty() { String::new() } else { format!("Accept: {accept}\r\n") };
    // 1.0: the answer then ends with the connection.
    ask(address, &format!("GET {path} HTTP/1.0\r\n{accept}\r\n"))
}

/// Sends a request as it is.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("no whole answer")?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text:?}"))?;
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.with_context(|| format!("no status: {head}"))?,
        head: head.to_owned(),
        body: body.to_owned(),
        bytes: bytes.len(),
    })
}

/// One series with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// The metric.
    pub(crate) name: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its value.
    pub(crate) value: f64,
}

/// The series of a text format. No label in scenarios has a comma, a brace or a quotation mark in it.
pub(crate) fn parse(text: &str) -> Result<Vec<Series>> {
    let line = |line: &str| -> Result<Series> {
        let (series, value) = line.rsplit_once(' ').context("no value")?;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let mut all = BTreeMap::new();
        for pair in labels.trim_end_matches('}').split(',').filter(|p| !p.is_empty()) {
            let (label, value) = pair.split_once('=').context("no label")?;
            all.insert(label.to_owned(), value.trim_matches('"').to_owned());
        }
        Ok(Series { name: name.to_owned(), labels: all, value: value.parse().context("no number")? })
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|l| line(l).with_context(|| format!("not a series: {l}"))).collect()
}

/// The series now, as the Prometheus text format tells them.
pub(crate) fn scrape() -> Result<Vec<Series>> {
    let answer = get(ADDRESS, "/metrics", "")?;
    ensure!(answer.status == 200, "/metrics: {}", answer.head);
    parse(&answer.body)
}

/// The sum of all series of this metric that have these labels. None at all is an error.
pub(crate) fn sum(series: &[Series], name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let mut matching = series
        .iter()
        .filter(|s| {
            s.name == name && labels.iter().all(|(l, v)| s.labels.get(*l).is_some_and(|have| have == v))
        })
        .peekable();
    if matching.peek().is_none() {
        bail!("there is no {name} with {labels:?}");
    }
    Ok(matching.map(|s| s.value).sum())
}

/// Tries until `check` passes; the error is the last one.
pub(crate) fn until<T>(limit: Duration, what: &str, check: impl Fn() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > end => {
                return Err(error.context(format!("not within {limit:?}: {what}")));
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}
