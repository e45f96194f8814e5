//! The terminal interface. Knows the model alone: not the kernel, not recordings, not where Snapshots come from.
//!
//! State ([`App`]), what actions do to it (`update`), and views are apart: a view draws from the state and nothing else. Whoever collects
//! sends [`Update`]s from a thread of its own and gets [`Control`]s back.

mod action;
mod app;
mod columns;
pub mod config;
mod derive;
mod feed;
mod fields;
mod format;
mod history;
mod input;
mod keymap;
mod keys;
mod picture;
mod query;
mod rows;
mod run;
mod save;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod update;
mod views;
mod widgets;
mod words;

pub use app::App;
pub use config::Config;
pub use feed::{Control, Position, SPEEDS, Update};
pub use run::{Message, Outside, run};
pub use terminal::Screen;
pub use theme::{Palette, Terminal, Theme};
pub use views::draw;
