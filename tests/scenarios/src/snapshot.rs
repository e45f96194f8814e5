//! hvsock-top's Snapshots, by the names of their JSON.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{proof, schema};

/// One Snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot(pub(crate) Value);

impl Snapshot {
    /// One line of `hvsock-top json`, which must be as its schema says.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        schema::SNAPSHOT.parse(line).map(Self)
    }

    /// Checks it. To be used for every check but those of [`crate::top::Top::wait`], so that it proves the fields it looks at.
    pub(crate) fn check(&self, check: impl Fn(&Self) -> Result<()>) -> Result<()> {
        check(self)?;
        proof::of(self, &check);
        Ok(())
    }

    /// The number at `path`, such as `totals/tx_bytes`. Unmeasured is an error that says so.
    pub(crate) fn number(&self, path: &str) -> Result<u64> {
        number(&self.0, path)
    }

    /// What is at `path`.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        self.0.pointer(&format!("/{path}"))
    }

    /// The connections.
    pub(crate) fn connections(&self) -> Result<&[Value]> {
        self.list("connections")
    }

    /// The one connection there is.
    pub(crate) fn connection(&self) -> Result<&Value> {
        match self.connections()? {
            [one] => Ok(one),
            all => anyhow::bail!("expected one connection, got {}: {all:?}", all.len()),
        }
    }

    /// The listener at `port`.
    pub(crate) fn listener(&self, port: u32) -> Result<&Value> {
        let mut matching = self.list("listeners")?.iter().filter(|l| l["port"] == port);
        let found = matching.next().with_context(|| format!("no listener at {port}"))?;
        anyhow::ensure!(matching.next().is_none(), "two listeners at {port}");
        Ok(found)
    }

    /// The list at `path`.
    pub(crate) fn list(&self, path: &str) -> Result<&[Value]> {
        let list = self.at(path).and_then(Value::as_array);
        list.map(Vec::as_slice).with_context(|| format!("the Snapshot has no list {path}"))
    }

    /// The sum of the numbers in the object at `path`; what was not measured counts nothing.
    pub(crate) fn sum(&self, path: &str) -> Result<u64> {
        let object = self.at(path).and_then(Value::as_object);
        Ok(object.with_context(|| format!("no {path}"))?.values().filter_map(Value::as_u64).sum())
    }
}

/// The number at `path` inside `value`.
pub(crate) fn number(value: &Value, path: &str) -> Result<u64> {
    match value.pointer(&format!("/{path}")) {
        None => anyhow::bail!("there is no {path}"),
        Some(Value::Null) => anyhow::bail!("{path} is null: not measured"),
        Some(v) => v.as_u64().with_context(|| format!("{path} is {v}, not a number")),
    }
}
