//! What this inventory can see on this machine, and what it cannot.

use crate::model::doctor::{Inventory, InventorySource};

/// What it could see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::collect) struct Sight {
    /// Why there is no list of sockets.
    pub no_sockets: Option<NoSockets>,
    /// Why there is no list of channels.
    pub no_channels: Option<String>,
    /// Processes whose files could not be looked at, if that is why an owner is not known.
    pub unseen: usize,
}

/// Why there is no list of sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::collect) enum NoSockets {
    /// The kernel part that lists vsock sockets (vsock_diag) is not there.
    Absent,
    /// Something else.
    Failed(String),
}

impl Sight {
    /// For `doctor`.
    pub(in crate::collect) fn describe(&self) -> Inventory {
        let mut unknown = Vec::new();
        let mut say = |text: &str| unknown.push(text.to_owned());
        if self.no_channels.is_some() {
            say("connections, until something happens on them");
        } else if self.no_sockets.is_some() {
            say(
                "who has a connection, its state, and as a rule its direction and ports, until something happens on it",
            );
        } else {
            say("who has a connection, and its state, if its socket is in another network namespace");
            say(
                "the state of a connection in which data lie unread, or that the host has taken away, until \
                 something happens on it",
            );
        }
        if self.no_sockets.is_some() {
            say("listeners that no host has reached");
        } else {
            say(
                "listeners in other network namespaces that no host has reached, and every listener's backlog",
            );
        }
        say("what is in the rings of a connection, until something happens on it");
        if self.unseen > 0 {
            say("connections and listeners of processes that may not be looked at: who has them");
        }
        Inventory {
            source: match (&self.no_channels, &self.no_sockets) {
                (_, None) => InventorySource::SockDiag,
                (None, Some(_)) => InventorySource::Sysfs,
                (Some(_), Some(_)) => InventorySource::None,
            },
            processes_not_seen: Some(self.unseen as u64),
            unknown,
        }
    }
}

/// For `doctor`, where the kernel has an iterator.
pub(in crate::collect) fn of_the_iterator() -> Inventory {
    Inventory {
        source: InventorySource::TaskFile,
        processes_not_seen: None,
        unknown: vec![
            "who has a connection or listens, if it is a process of another PID namespace".to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_best_there_is() {
        let failed = || Some(NoSockets::Failed("why".into()));
        let of = |no_sockets, no_channels| Sight { no_sockets, no_channels, unseen: 0 }.describe().source;
        assert_eq!(of(None, None), InventorySource::SockDiag);
        assert_eq!(of(None, Some("why".into())), InventorySource::SockDiag);
        assert_eq!(of(Some(NoSockets::Absent), None), InventorySource::Sysfs);
        assert_eq!(of(failed(), Some("why".into())), InventorySource::None);
    }

    #[test]
    fn processes_that_may_not_be_looked_at_are_told() {
        let told = |unseen| Sight { unseen, ..Sight::default() }.describe();
        assert_eq!(told(0).unknown.len() + 1, told(2).unknown.len());
        assert_eq!(told(2).processes_not_seen, Some(2));
    }
}
