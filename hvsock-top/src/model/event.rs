//! Lifecycle events: a few per connection, none per packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Direction;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A connection is established.
    Opened,
    /// An offered connection came to nothing; `why` is the branch `hvs_open_connection` took.
    OpenFailed,
    /// A connection was accepted.
    Accepted,
    /// A connection is gone; `why` says who ended it.
    Closed,
    /// A guest connect came to nothing; `why` is the class of its errno.
    ConnectFailed,
    /// Events were lost because the reader was too slow; the totals are not affected.
    Lost,
}

/// One lifecycle event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifecycleEvent {
    /// When, RFC 3339, wall clock; absent for `lost`.
    pub time: Option<String>,
    /// What happened.
    pub event: EventKind,
    /// The connection's id, as in Snapshots; `None` where it never had a channel.
    pub id: Option<String>,
    /// The channel's relid.
    pub relid: Option<u32>,
    /// Who asked for the connection.
    pub direction: Option<Direction>,
    /// The guest's port.
    pub local_port: Option<u32>,
    /// The host's port.
    pub remote_port: Option<u32>,
    /// Process that connected or accepted.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: Option<String>,
    /// `opened`: the open's time, from connect or offer; `accepted`: the wait in the backlog; `closed`: the connection's life.
    pub duration_ns: Option<u64>,
    /// Payload bytes sent, at the end.
    pub tx_bytes: Option<u64>,
    /// Payload bytes received, at the end.
    pub rx_bytes: Option<u64>,
    /// Bytes left unread when the host took the channel away.
    pub unread_bytes: Option<u32>,
    /// Why.
    pub why: Option<String>,
    /// errno, where there was one.
    pub errno: Option<u32>,
    /// How many events were lost.
    pub lost: Option<u64>,
}

impl LifecycleEvent {
    /// The event that says that `count` others are missing.
    pub fn lost(count: u64) -> Self {
        Self {
            time: None,
            event: EventKind::Lost,
            id: None,
            relid: None,
            direction: None,
            local_port: None,
            remote_port: None,
            pid: None,
            comm: None,
            duration_ns: None,
            tx_bytes: None,
            rx_bytes: None,
            unread_bytes: None,
            why: None,
            errno: None,
            lost: Some(count),
        }
    }
}
