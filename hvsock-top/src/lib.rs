//! hvsock-top: what Hyper-V sockets are doing on this Linux guest, and what is wrong with them.
//!
//! Modules point one way: `cli` → outputs such as [`record`] and [`findings`] → [`model`]; [`collect`] → [`kernel`] and [`model`]; [`kernel`] → `hvsock_common`.
//! [`model`] knows no kernel and no terminal.

pub mod cli;
pub mod collect;
pub mod export;
pub mod findings;
pub mod kernel;
pub mod lookup;
pub mod model;
pub mod record;
pub mod tui;
