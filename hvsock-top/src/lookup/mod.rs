//! What finding a socket costs: the laboratory, which measures the structures side by side, on any Linux; the lookup of the running kernel;
//! and the experiment, with the structures in the sockets themselves.
//!
//! Knows no terminal. Results are plain data with serde names, like everything that is printed.

pub mod experiment;
pub mod lab;
pub mod live;
pub mod page;
pub mod plot;
