//! Where kernel packages come from: apt's own lists, or where those have no such kernel, Debian's archive with lists of our own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{exec, paths, setup};

/// The release of Debian whose archive has every kernel of the matrix.
const SOURCES: &str = "\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian-security bookworm-security main
";

/// How old our own lists may get before they are asked for anew.
const LISTS_AGE: Duration = Duration::from_hours(24);

/// Package lists.
pub(crate) trait Lists {
    /// The names of the packages that begin with `prefix`.
    fn names(&self, prefix: &str) -> Result<Vec<String>>;
    /// What `apt-cache show` says of a package in every version.
    fn show(&self, package: &str) -> Result<String>;
}

/// apt with its own lists, or with ours.
#[derive(Debug, Default)]
pub(crate) struct Apt {
    options: Vec<String>,
}

impl Apt {
    /// Debian's archive, whatever this machine's sources are. Needs no root: lists and state are in the cache.
    pub(crate) fn debian() -> Result<Self> {
        setup::ensure(&[setup::KEYRING])?;
        let dir = paths::cache()?.join("apt");
        for sub in ["lists/partial", "archives/partial", "parts"] {
            fs::create_dir_all(dir.join(sub)).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let (sources, status) = (dir.join("sources.list"), dir.join("status"));
        fs::write(&sources, SOURCES)?;
        fs::write(&status, "")?;
        let option = |name: &str, path: &Path| ["-o".to_owned(), format!("{name}={}", path.display())];
        let mut options = vec!["-o".to_owned(), "APT::Architecture=amd64".to_owned()];
        options.extend(["-o".to_owned(), "APT::Architectures=amd64".to_owned()]);
        options.extend(option("Dir::Etc::SourceList", &sources));
        options.extend(option("Dir::Etc::SourceParts", &dir.join("parts")));
        options.extend(option("Dir::State::Lists", &dir.join("lists")));
        options.extend(option("Dir::State::Status", &status));
        options.extend(option("Dir::Cache", &dir));
        let apt = Self { options };
        let updated = dir.join("updated");
        let age = fs::metadata(&updated).ok().and_then(|m| m.modified().ok()?.elapsed().ok());
        if age.is_none_or(|age| age > LISTS_AGE) {
            eprintln!("xtask: asking Debian's archive for its kernels");
            exec::output(apt.get().args(["-qq", "update"])).context("cannot read Debian's package lists")?;
            fs::write(&updated, "")?;
        }
        Ok(apt)
    }

    /// `apt-get` with these lists.
    pub(crate) fn get(&self) -> Command {
        let mut command = Command::new("apt-get");
        if rustix::process::geteuid().is_root() {
            // Else apt drops to a user that may not write to our folders, and warns.
            command.args(["-o", "APT::Sandbox::User=root"]);
        }
        command.args(&self.options);
        command
    }

    fn cache(&self) -> Command {
        let mut command = Command::new("apt-cache");
        command.args(&self.options);
        command
    }
}

impl Lists for Apt {
    fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = exec::text(self.cache().args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    fn show(&self, package: &str) -> Result<String> {
        exec::text(self.cache().args(["show", package]))
    }
}
