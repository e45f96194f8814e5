//! The newest Snapshot, and what it looks like in each format.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;

use super::{
    catalog,
    family::Family,
    health::{self, Health},
    openmetrics,
    ports::{PortRows, PortTable},
    protobuf, text,
};
use crate::model::Snapshot;

/// Where one thread puts Snapshots and another takes them.
#[derive(Debug)]
pub struct Board {
    ports: Mutex<PortTable>,
    newest: Mutex<Option<Arc<Published>>>,
    /// How old the newest Snapshot may be.
    patience: Duration,
}

/// No shorter, however short the interval: a busy machine may need so long to give us a turn.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

impl Board {
    /// For Snapshots that come at this interval, with series of their own for no more than so many ports.
    pub fn new(interval: Duration, max_ports: usize) -> Self {
        Self {
            ports: Mutex::new(PortTable::new(max_ports)),
            newest: Mutex::new(None),
            patience: interval.saturating_mul(3).max(LEAST_PATIENCE),
        }
    }

    /// From now on this is the newest. No request ever holds this up: what a request needs of the board is one pointer.
    pub fn publish(&self, snapshot: Snapshot) {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner).fold(&snapshot);
        let published = Arc::new(Published {
            snapshot,
            ports,
            taken: Instant::now(),
            families: OnceLock::new(),
            bodies: Default::default(),
        });
        let before = self.newest.lock().unwrap_or_else(PoisonError::into_inner).replace(published);
        // Not while the lock is held: a Snapshot of thousands of connections takes its time to go.
        drop(before);
    }

    /// The newest, if there is one yet.
    pub(super) fn newest(&self) -> Option<Arc<Published>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether what is told can be relied on.
    pub(super) fn health(&self) -> Health {
        match self.newest() {
            Some(newest) => health::of(&newest.snapshot, newest.taken.elapsed(), self.patience),
            None => health::none(),
        }
    }
}

/// What a Snapshot can be asked for as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
    Json,
}

impl Format {
    const COUNT: usize = 4;

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Text => text::MEDIA_TYPE,
            Self::OpenMetrics => openmetrics::MEDIA_TYPE,
            Self::Protobuf => protobuf::MEDIA_TYPE,
            Self::Json => "application/json",
        }
    }
}

/// A Snapshot with what has been made of it so far.
#[derive(Debug)]
pub(super) struct Published {
    snapshot: Snapshot,
    ports: PortRows,
    taken: Instant,
    families: OnceLock<Arc<[Family]>>,
    bodies: [OnceLock<Bytes>; Format::COUNT],
}

impl Published {
    /// The Snapshot in a format, made the first time it is asked for.
    pub(super) fn body(&self, format: Format) -> Bytes {
        let families = || self.families.get_or_init(|| catalog::families(&self.snapshot, &self.ports).into());
        let body = self.bodies[format as usize].get_or_init(|| match format {
            Format::Text => text::encode(families()).into(),
            // Neither can fail: they write to memory, and every key of a Snapshot is a text.
            Format::OpenMetrics => openmetrics::encode(Arc::clone(families())).unwrap_or_default().into(),
            Format::Json => json(&self.snapshot).unwrap_or_default().into(),
            Format::Protobuf => protobuf::encode(families()).into(),
        });
        body.clone()
    }
}

/// As `hvsock-top json` prints it.
fn json(snapshot: &Snapshot) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(snapshot)?;
    text.push(b'\n');
    Ok(text)
}
