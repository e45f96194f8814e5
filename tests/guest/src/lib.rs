//! The inside of the test guest: Hyper-V socket traffic, the simulated host's commands and its ledger.
//!
//! The binary `guest` is init (as process 1) and a traffic generator (otherwise); the scenarios use the same traffic
//! through this library. Nothing here waits for ever: every operation has a time limit.

pub mod af_hyperv;
pub mod family;
pub mod host;
pub mod ledger;
pub mod release;
pub mod traffic;
pub mod vsock;

use std::time::Duration;

/// How long one operation on a socket may take before it counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(20);
