//! What one may say of the terminal interface.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{cli::live::interval, tui::Palette};

/// Options of the terminal interface.
#[derive(Args, Clone, Debug, Default)]
pub(in crate::cli) struct TuiArgs {
    /// Time between Snapshots, such as 1s or 200ms
    #[arg(long, value_parser = interval)]
    pub(in crate::cli) interval: Option<Duration>,
    /// Take keys, colours and the like from FILE instead of ~/.config/hvsock-top/config.toml
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Colours: dark, light, ansi (16 colours) or mono; NO_COLOR in the environment means mono
    #[arg(long, value_name = "NAME", value_parser = palette)]
    pub(in crate::cli) theme: Option<Palette>,
    /// Use no signs but those of ASCII
    #[arg(long)]
    pub(in crate::cli) ascii: bool,
}

fn palette(text: &str) -> Result<Palette, String> {
    [Palette::Dark, Palette::Light, Palette::Ansi, Palette::Mono]
        .into_iter()
        .find(|palette| palette.name() == text)
        .ok_or_else(|| "there are dark, light, ansi and mono".to_owned())
}
