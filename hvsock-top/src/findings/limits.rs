//! The thresholds. Each can be set: `--threshold NAME=VALUE`.

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident = $default:literal),+ $(,)?) => {
        /// The thresholds of the rules. Names end in their unit.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits { $($(#[doc = $doc])+ pub $name: u64),+ }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        impl Limits {
            fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name { $(stringify!($name) => Some(&mut self.$name),)+ _ => None }
            }
        }

        /// Every threshold.
        pub const LIMITS: &[Limit] = &[$(Limit { name: stringify!($name), default: $default, about: concat!($($doc),+) }),+];
    };
}

/// A threshold, for help texts.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Its name, which ends in its unit.
    pub name: &'static str,
    /// What it is unless set.
    pub default: u64,
    /// What it means.
    pub about: &'static str,
}

limits! {
    /// How far back rates and counts look.
    window_ms = 10_000,
    /// Connections dropped at a full backlog within the window.
    backlog_drops = 1,
    /// How long an established connection may wait to be accepted.
    accept_wait_ms = 1_000,
    /// Guest connects that timed out within the window.
    connect_timeouts = 1,
    /// Guest connects that the host refused within the window.
    connect_refusals = 5,
    /// Host connects to one port at which nobody listens, within the window.
    no_listener = 5,
    /// How long one send may wait for room in the ring.
    stall_ms = 1_000,
    /// Share of the window that one connection's senders may spend in long waits.
    stall_percent = 50,
    /// How long waits are on average to be long ones: a bulk transfer waits often, for moments.
    stall_mean_ms = 20,
    /// How long data may lie unread in a ring.
    unread_ms = 5_000,
    /// How full a ring must be for its reader to hold the host up.
    unread_percent = 50,
    /// Free blocks of the size that the rings of a new connection take.
    free_blocks = 8,
    /// How long a connection may be idle.
    idle_ms = 300_000,
    /// Idle connections through one port.
    idle_connections = 50,
    /// How long a close may wait for the host.
    closing_ms = 1_000,
    /// How long the guest may hold a connection that the host has taken away.
    abandoned_ms = 60_000,
    /// Share of the relids in use.
    relids_percent = 75,
    /// How long an offer may wait for the one worker that handles them.
    offer_wait_ms = 1_000,
    /// Time of a lookup of the bound socket, median.
    lookup_us = 50,
    /// Lookups within the window, for their time to be judged.
    lookups = 5,
}

impl Limits {
    /// Sets one threshold from `NAME=VALUE`.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as stall_ms=500")?;
        let Some(field) = self.field(name) else {
            let names: Vec<_> = LIMITS.iter().map(|limit| limit.name).collect();
            return Err(format!("no threshold {name}; there are {}", names.join(", ")));
        };
        *field = value.parse().map_err(|_| format!("{value} is no whole number"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_set_by_name() {
        let mut limits = Limits::default();
        limits.set("stall_ms=5").unwrap();
        assert_eq!(limits, Limits { stall_ms: 5, ..Limits::default() });
        for bad in ["stall_ms", "stall_ms=", "stall_ms=-1", "stalls=3", "=", ""] {
            assert!(limits.set(bad).is_err(), "{bad}");
        }
        for limit in LIMITS {
            assert_eq!(limits.set(&format!("{}={}", limit.name, limit.default)), Ok(()));
        }
        assert_eq!(limits, Limits::default());
    }
}
