//! Debian's Prometheus, running in the guest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::serve::{self, ADDRESS, Series, get};

/// Where it listens.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// How long a start may take: a large program, on a CPU that is emulated.
const START: Duration = Duration::from_mins(1);

/// The rules that we ship.
const RULES: &[(&str, &str)] = &[
    ("recording.yml", include_str!("../../../contrib/prometheus/recording.yml")),
    ("alerts.yml", include_str!("../../../contrib/prometheus/alerts.yml")),
];

/// A running Prometheus that scrapes hvsock-top every two seconds; killed when dropped.
pub(crate) struct Server {
    child: Child,
    folder: String,
    address: SocketAddr,
}

impl Server {
    /// Starts it with an empty store and waits until it has scraped.
    pub(crate) fn start(name: &str, options: &[&str]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("prometheus-{name}")).display().to_string();
        fs::create_dir_all(&folder)?;
        for (file, text) in RULES {
            fs::write(format!("{folder}/{file}"), text)?;
        }
        let config = format!(
            "global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}}\n\
             rule_files: [recording.yml, alerts.yml]\n\
             scrape_configs: [{{job_name: hvsock-top, static_configs: [{{targets: ['{ADDRESS}']}}]}}]\n"
        );
        fs::write(format!("{folder}/prometheus.yml"), config)?;
        let log = File::create(format!("{folder}/log"))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={folder}/prometheus.yml"))
            .arg(format!("--storage.tsdb.path={folder}/data"))
            .arg(format!("--web.listen-address={SERVER}"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start prometheus")?;
        let server = Self { child, folder, address: SERVER };
        serve::until(START, "Prometheus is ready and has scraped", || {
            let up = server.query("up")?;
            ensure!(up.len() == 1 && up[0].value > 0.0, "{up:?}");
            Ok(())
        })
        .map_err(|error| error.context(server.log()))?;
        Ok(server)
    }

    /// What a query gives now. A native histogram counts as its number of values.
    pub(crate) fn query(&self, query: &str) -> Result<Vec<Series>> {
        let answer = self.api(&format!("query?query={}", encode(query))).with_context(|| query.to_owned())?;
        let results = answer["data"]["result"].as_array().context("no result")?;
        results.iter().map(series).collect()
    }

    /// Part of its HTTP API.
    pub(crate) fn api(&self, path: &str) -> Result<Value> {
        let answer = get(self.address, &format!("/api/v1/{path}"), "")?;
        let value: Value = serde_json::from_str(&answer.body).with_context(|| answer.head.clone())?;
        ensure!(value["status"] == "success", "{}: {value}", answer.head);
        Ok(value)
    }

    /// Ends it and removes its store.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + START;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < end, "Prometheus does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        fs::remove_dir_all(&self.folder).context("cannot remove its folder")
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(format!("{}/log", self.folder)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn series(value: &Value) -> Result<Series> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (label, value) in value["metric"].as_object().context("no labels")? {
        labels.insert(label.clone(), value.as_str().context("no text")?.to_owned());
    }
    let number = match &value["value"][1] {
        Value::Null => &value["histogram"][1]["count"],
        number => number,
    };
    let number = number.as_str().with_context(|| format!("no value: {value}"))?;
    let name = labels.remove("__name__").unwrap_or_default();
    Ok(Series { name, labels, value: number.parse().with_context(|| number.to_owned())? })
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
