//! Brings a kernel of the matrix into the cache: downloads its packages, checks them, unpacks them (nothing is installed), and
//! lays out what booting and building modules need.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::apt::{Apt, Lists as _};
use crate::kernels::{self, Kernel, Release};
use crate::{exec, paths, setup, vmlinux};

/// Raised whenever the layout of a cached kernel changes, so that older ones are made anew.
const LAYOUT: &str = "1";

/// Stock modules that are taken out of the image package, where it has them as modules.
const STOCK_MODULES: &[&str] =
    &["hv_sock", "hv_vmbus", "vmw_vsock_virtio_transport_common", "vsock", "vsock_diag", "vsock_loopback"];

/// A kernel that is ready in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    /// The line of the matrix.
    pub(crate) id: &'static str,
    /// The exact release: the name of `dir`.
    pub(crate) key: String,
    dir: PathBuf,
}

impl Prepared {
    /// The kernel ELF.
    pub(crate) fn vmlinux(&self) -> PathBuf {
        self.dir.join("vmlinux")
    }

    /// The folder of unpacked stock modules.
    pub(crate) fn modules(&self) -> PathBuf {
        self.dir.join("modules")
    }

    /// The headers to build modules with: what `make -C` is given.
    pub(crate) fn headers(&self) -> Result<PathBuf> {
        one_entry(&self.dir.join("root/usr/src"), "linux-headers-", |name| !name.ends_with("-common"))
    }
}

/// Sees to it that `kernel` is in the cache, in the newest version that is offered.
pub(crate) fn prepare(kernel: &'static Kernel) -> Result<Prepared> {
    setup::ensure(&[setup::KERNEL])?;
    let lender = match kernel.resolve_btfids_from {
        Some(id) => Some(prepare(kernels::find(id)?)?),
        None => None,
    };
    let base = paths::cache()?.join("kernels").join(kernel.id);
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    // Several runs may want the same kernel at once: one fetches, the others wait.
    let lock =
        File::create(base.join(".lock")).with_context(|| format!("cannot write to {}", base.display()))?;
    lock.lock().context("cannot lock the kernel cache")?;

    let mut errors = Vec::new();
    for source in [Source::Lists, Source::Updated, Source::Debian] {
        match source.bring(kernel, &base, lender.as_ref()) {
            Ok(Some(prepared)) => return Ok(prepared),
            Ok(None) => {}
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    let why = errors.join("\n");
    let cached = newest_cached(kernel, &base).with_context(|| {
        format!("kernel {} is not in the cache, and it cannot be fetched: {why}", kernel.id)
    })?;
    eprintln!(
        "xtask: using kernel {} from the cache, because a newer one cannot be fetched: {why}",
        cached.key
    );
    Ok(cached)
}

/// Where a kernel may come from, in the order of trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// apt's lists as they are.
    Lists,
    /// apt's lists after an update: they were absent, or what they offer is gone from the archive.
    Updated,
    /// Debian's archive, on a machine whose apt knows no such kernel.
    Debian,
}

impl Source {
    /// The newest kernel this source has; nothing when it has none.
    fn bring(
        self,
        kernel: &'static Kernel,
        base: &Path,
        lender: Option<&Prepared>,
    ) -> Result<Option<Prepared>> {
        let apt = match self {
            Self::Debian => Apt::debian()?,
            Self::Lists => Apt::default(),
            Self::Updated => {
                // An update helps when the lists are absent or stale, not when they are another distribution's.
                let apt = Apt::default();
                if kernels::newest(kernel, &apt)?.is_none() && !apt.names("linux-image-")?.is_empty() {
                    return Ok(None);
                }
                setup::apt_update()?;
                apt
            }
        };
        let Some(release) = kernels::newest(kernel, &apt)? else { return Ok(None) };
        if let Some(prepared) = opened(kernel, base, &release.key()) {
            return Ok(Some(prepared));
        }
        fetch(&apt, &release, base, lender)
            .with_context(|| format!("cannot bring kernel {} into {}", release.abi, base.display()))?;
        opened(kernel, base, &release.key())
            .context("the kernel was fetched, but its folder is not complete")
            .map(Some)
    }
}

/// The cached kernel called `key`, if it is complete.
fn opened(kernel: &Kernel, base: &Path, key: &str) -> Option<Prepared> {
    let id = kernel.id;
    let dir = base.join(key);
    let stamp = fs::read_to_string(dir.join("complete")).ok()?;
    (stamp.trim() == LAYOUT).then(|| Prepared { id, key: key.to_owned(), dir })
}

fn newest_cached(kernel: &Kernel, base: &Path) -> Option<Prepared> {
    let mut keys: Vec<String> =
        fs::read_dir(base).ok()?.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    keys.sort_by(|a, b| kernels::natural_order(b, a));
    keys.iter().find_map(|key| opened(kernel, base, key))
}

/// Downloads and lays out `release`. The stamp is written last: a folder without it is made anew.
fn fetch(apt: &Apt, release: &Release, base: &Path, lender: Option<&Prepared>) -> Result<()> {
    let dir = base.join(release.key());
    if dir.exists() {
        fs::remove_dir_all(&dir)
            .with_context(|| format!("cannot remove the unfinished {}", dir.display()))?;
    }
    let (debs, root) = (dir.join("debs"), dir.join("root"));
    fs::create_dir_all(&debs)?;
    eprintln!("xtask: fetching kernel {} ({})", release.abi, release.version);
    for package in &release.packages {
        let deb = download(apt, package, &release.version, &debs)?;
        exec::output(Command::new("dpkg-deb").arg("-x").args([&deb, &root]))?;
    }
    fs::remove_dir_all(&debs)?;
    let image = one_entry(&root.join("boot"), "vmlinuz-", |_| true)?;
    vmlinux::extract(&image, &dir.join("vmlinux"))?;
    unpack_modules(&root.join("lib/modules"), &dir.join("modules"))?;
    prepare_headers(&dir, lender)?;
    fs::write(dir.join("complete"), LAYOUT)?;
    Ok(())
}

/// Downloads one package into `debs` and compares it with the checksum in apt's lists.
pub(crate) fn download(apt: &Apt, package: &str, version: &str, debs: &Path) -> Result<PathBuf> {
    let show = apt.show(package)?;
    let stanza = kernels::stanzas(&show)
        .find(|s| kernels::field(s, "Version") == Some(version))
        .with_context(|| format!("apt's lists have no {package} {version}"))?;
    let expected = kernels::field(stanza, "SHA256").with_context(|| format!("no SHA256 for {package}"))?;
    let before = entries(debs)?;
    let mut command = apt.get();
    command.args(["-qq", "download", &format!("{package}={version}")]).current_dir(debs);
    exec::output(&mut command)?;
    let new: Vec<PathBuf> = entries(debs)?.into_iter().filter(|f| !before.contains(f)).collect();
    let [deb] = new.as_slice() else {
        bail!("`apt-get download {package}` left {} files, not one", new.len())
    };
    let sum = exec::text(Command::new("sha256sum").arg(deb))?;
    // A name with a backslash or newline makes sha256sum put a backslash first.
    let sum = sum.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    ensure!(sum == expected, "{} has SHA256 {sum}, but apt's lists say {expected}", deb.display());
    Ok(deb.clone())
}

/// Puts the stock modules, uncompressed, side by side into `to`.
fn unpack_modules(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut found = Vec::new();
    walk(from, &mut |file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Some((stem, end)) = name.split_once(".ko") else { return Ok(()) };
        if !STOCK_MODULES.contains(&stem) {
            return Ok(());
        }
        let to = to.join(format!("{stem}.ko"));
        let program = match end {
            "" => "cat",
            ".xz" => "xz",
            ".zst" => "zstd",
            ".gz" => "gzip",
            other => bail!("{name} is compressed in a way not known here ({other})"),
        };
        let mut command = Command::new(program);
        if program != "cat" {
            command.arg("-dc");
        }
        fs::write(&to, exec::output(command.arg(file))?.stdout)?;
        found.push(stem.to_owned());
        Ok(())
    })?;
    for name in ["vsock", "hv_vmbus", "hv_sock"] {
        ensure!(found.iter().any(|f| f == name), "the kernel package has no module {name}");
    }
    Ok(())
}

/// Makes the unpacked headers usable where they are, for modules with BTF.
fn prepare_headers(dir: &Path, lender: Option<&Prepared>) -> Result<()> {
    let root = dir.join("root");
    let prepared = Prepared { id: "", key: String::new(), dir: dir.to_owned() };
    let headers = prepared.headers()?;
    let common = one_entry(&root.join("usr/src"), "linux-headers-", |name| name.ends_with("-common"))?;
    // The package's Makefile includes an absolute path under /usr/src.
    fs::write(headers.join("Makefile"), format!("include {}/Makefile\n", common.display()))?;
    // `scripts` and `tools` are links to ../../lib/linux-kbuild-…, which hold inside the unpacked root.
    if !headers.join("vmlinux").exists() {
        fs::copy(dir.join("vmlinux"), headers.join("vmlinux"))?;
    }
    let kbuild = one_entry(&root.join("usr/lib"), "linux-kbuild-", |_| true)?;
    let program = Path::new("tools/bpf/resolve_btfids/resolve_btfids");
    if !kbuild.join(program).exists() {
        let lender = lender.with_context(|| {
            format!(
                "{} has no resolve_btfids: say in kernels.rs which series lends its own",
                kbuild.display()
            )
        })?;
        let theirs = one_entry(&lender.dir.join("root/usr/lib"), "linux-kbuild-", |_| true)?.join(program);
        fs::create_dir_all(kbuild.join(program).parent().context("no folder")?)?;
        fs::copy(&theirs, kbuild.join(program))
            .with_context(|| format!("cannot copy {}", theirs.display()))?;
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    list.map(|entry| Ok(entry?.path())).collect()
}

/// The one entry of `dir` whose name begins with `prefix` and suits.
fn one_entry(dir: &Path, prefix: &str, suits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    entries(dir)?
        .into_iter()
        .find(|path| {
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(prefix) && suits(n))
        })
        .with_context(|| format!("no {prefix}… in {}", dir.display()))
}

fn walk(dir: &Path, visit: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    for path in entries(dir)? {
        if path.is_dir() && !path.is_symlink() {
            walk(&path, visit)?;
        } else {
            visit(&path)?;
        }
    }
    Ok(())
}
