//! Debian's Prometheus: fetched and unpacked as the kernels are, never installed. It runs with the C library it was built with, so it
//! works in the guest, which has none, and on any x86-64 machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::apt::{Apt, Lists as _};
use crate::cpio::Archive;
use crate::{exec, fetch, kernels, paths, setup};

/// What is fetched: the server with promtool, and the C library with its loader.
const PACKAGES: &[&str] = &["prometheus", "libc6"];

/// Where programs expect their loader, and where that finds the library by itself.
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
const LIBRARY: &str = "lib/x86_64-linux-gnu/libc.so.6";

/// Raised whenever the layout in the cache changes.
const LAYOUT: &str = "1";

/// Memory that a guest with a Prometheus needs, in MiB.
pub(crate) const MEMORY: u32 = 2048;

/// A Prometheus in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    root: PathBuf,
}

impl Prometheus {
    fn promtool(&self) -> Command {
        let mut command = Command::new(self.root.join(LOADER));
        command.arg("--library-path").arg(self.root.join("lib/x86_64-linux-gnu"));
        command.arg(self.root.join("usr/bin/promtool"));
        command
    }

    /// The server and what it needs, as a piece of the guest's initramfs.
    pub(crate) fn initramfs(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for dir in ["lib", "lib/x86_64-linux-gnu", "lib64"] {
            archive.directory(dir);
        }
        for (name, file) in [("bin/prometheus", "usr/bin/prometheus"), (LOADER, LOADER), (LIBRARY, LIBRARY)] {
            let file = self.root.join(file);
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.file(name, &bytes, true);
        }
        Ok(archive.finish())
    }
}

/// What we export and the rules that we ship, by Prometheus' own checks.
pub(crate) fn check() -> Result<()> {
    let prometheus = prepare()?;
    let rules = paths::workspace().join("contrib/prometheus");
    let one = |arguments: &[&str]| exec::output(prometheus.promtool().args(arguments).current_dir(&rules));
    one(&["check", "config", "prometheus.yml"])?;
    one(&["check", "rules", "recording.yml", "alerts.yml"])?;
    one(&["test", "rules", "alerts_test.yml"])?;
    let example = paths::workspace().join("hvsock-top/tests/data/demo-metrics.txt");
    let example = File::open(&example).with_context(|| format!("cannot read {}", example.display()))?;
    let mut lint = prometheus.promtool();
    let out = lint.args(["check", "metrics"]).stdin(example).output().context("cannot start promtool")?;
    ensure!(
        out.status.success() && out.stderr.is_empty(),
        "promtool check metrics says: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}

/// Sees to it that Prometheus is in the cache, in the newest version that is offered.
pub(crate) fn prepare() -> Result<Prometheus> {
    setup::ensure(&[setup::KERNEL])?;
    let base = paths::cache()?.join("prometheus");
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let lock =
        File::create(base.join(".lock")).with_context(|| format!("cannot write to {}", base.display()))?;
    lock.lock().context("cannot lock the cache of Prometheus")?;
    let mut errors = Vec::new();
    for source in [|| Ok(Apt::default()), updated, Apt::debian] {
        match source().and_then(|apt| bring(&apt, &base)) {
            Ok(found) => return Ok(found),
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    cached(&base).with_context(|| format!("Prometheus cannot be fetched: {}", errors.join("\n")))
}

/// apt's lists were absent, or what they offer is gone from the archive.
fn updated() -> Result<Apt> {
    setup::apt_update()?;
    Ok(Apt::default())
}

fn bring(apt: &Apt, base: &Path) -> Result<Prometheus> {
    let versions = PACKAGES.iter().map(|package| newest(apt, package)).collect::<Result<Vec<_>>>()?;
    let root = base.join(versions.join("_"));
    if let Some(there) = opened(&root) {
        return Ok(there);
    }
    if root.exists() {
        fs::remove_dir_all(&root)
            .with_context(|| format!("cannot remove the unfinished {}", root.display()))?;
    }
    let debs = root.join("debs");
    fs::create_dir_all(&debs)?;
    eprintln!("xtask: fetching Prometheus {}", versions[0]);
    for (package, version) in PACKAGES.iter().zip(&versions) {
        let deb = fetch::download(apt, package, version, &debs)?;
        exec::output(Command::new("dpkg-deb").arg("-x").args([&deb, &root]))?;
    }
    fs::remove_dir_all(&debs)?;
    fs::write(root.join("complete"), LAYOUT)?;
    opened(&root).context("Prometheus was fetched, but its folder is not complete")
}

/// The newest version of a package that apt can have.
fn newest(apt: &Apt, package: &str) -> Result<String> {
    let text = apt.show(package)?;
    let mut versions: Vec<&str> =
        kernels::stanzas(&text).filter_map(|stanza| kernels::field(stanza, "Version")).collect();
    versions.sort_by(|a, b| kernels::natural_order(b, a));
    versions.first().map(|v| (*v).to_owned()).with_context(|| format!("apt's lists have no {package}"))
}

fn opened(root: &Path) -> Option<Prometheus> {
    let stamp = fs::read_to_string(root.join("complete")).ok()?;
    (stamp.trim() == LAYOUT).then(|| Prometheus { root: root.to_owned() })
}

fn cached(base: &Path) -> Option<Prometheus> {
    let mut roots: Vec<PathBuf> = fs::read_dir(base).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    roots.sort_by(|a, b| kernels::natural_order(&b.to_string_lossy(), &a.to_string_lossy()));
    roots.iter().find_map(|root| opened(root))
}
