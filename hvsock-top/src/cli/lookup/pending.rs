//! A file that is written at the end of a long run, and tried at its beginning.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::cli::Failure;

/// A file that appears whole, or not at all.
#[derive(Debug)]
pub(super) struct Pending {
    path: PathBuf,
    partial: PathBuf,
}

impl Pending {
    /// Sees to it that the file can be written, long before it is. What has that name now stays as it is.
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".partial-{}", std::process::id()));
        let pending = Self { path: path.to_owned(), partial: partial.into() };
        if path.is_dir() {
            return Err(pending.failure(&io::Error::from(io::ErrorKind::IsADirectory)));
        }
        File::create(&pending.partial).map_err(|error| pending.failure(&error))?;
        Ok(pending)
    }

    /// Writes it.
    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        fs::write(&self.partial, text)
            .and_then(|()| fs::rename(&self.partial, &self.path))
            .map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::new(
            format!("cannot write {}: {error}", self.path.display()),
            "name a file in a folder that exists, that you may write to, and that has room",
        )
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Gone already when it was written.
        let _ = fs::remove_file(&self.partial);
    }
}
