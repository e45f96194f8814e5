//! What finding a socket costs: the laboratory, which measures the structures side by side, on any Linux.
//!
//! Knows no terminal. Results are plain data with serde names, like everything that is printed.

pub mod lab;
pub mod live;
pub mod page;
pub mod plot;
