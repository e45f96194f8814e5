//! Where things are: the workspace, its target folder and the cache outside of it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's root folder.
pub(crate) fn workspace() -> PathBuf {
    // `cargo run` sets this at run time, so that a tree which was moved after xtask was built still works.
    let xtask = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf);
    // Compilers see through links; whoever names this folder to them must too.
    root.canonicalize().unwrap_or(root)
}

/// The workspace's target folder.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// What is costly to fetch and good for every checkout: kernels, tools.
pub(crate) fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("HVSOCK_TOP_CACHE").filter(|d| !d.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    let base = env::var_os("XDG_CACHE_HOME")
        .filter(|d| !d.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no home directory is known: set HVSOCK_TOP_CACHE to a folder for kernels and tools")?;
    Ok(base.join("hvsock-top"))
}

/// The first file called `name` in the folders of `PATH`.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|file| file.is_file())
}
