//! Finds a compiler that can make BPF objects: it needs unstable flags, its own library sources, and a bpf-linker built for the
//! same LLVM.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{exec, paths, setup};

/// The version of bpf-linker that goes with [`DEBIAN_RUSTC`].
const BPF_LINKER: &str = "0.13.0";

/// The release of Debian's rustc-web that builds the committed object.
const DEBIAN_RUSTC: &str = "1.96.";

/// A compiler for the BPF target with everything around it.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The cargo to call.
    cargo: PathBuf,
    /// Set for a compiler from rustup.
    rustup: Option<&'static str>,
    /// Goes in front of `PATH`.
    path: Option<PathBuf>,
    /// The linker.
    linker: PathBuf,
    /// The tool that takes DWARF out of the object.
    objcopy: PathBuf,
    /// Where the compiler's library sources are, as it may name them.
    pub(crate) sources: Vec<PathBuf>,
    /// What made the object: one `name: version` a line.
    pub(crate) identity: String,
}

impl Toolchain {
    /// Debian's compiler where there is one to be had, else a nightly from rustup.
    pub(crate) fn find() -> Result<Self> {
        let debian = match debian_rustc() {
            Some(_) => true,
            None if paths::which("apt-cache").is_some() && setup::apt_offers("rustc-web") => {
                setup::ensure(&[setup::EBPF_DEBIAN])?;
                debian_rustc().is_some()
            }
            None => false,
        };
        if debian { Self::debian() } else { Self::rustup() }
    }

    fn debian() -> Result<Self> {
        setup::ensure(&[setup::RUST, setup::EBPF_DEBIAN])?;
        let verbose = exec::text(exec::without_cargo_env(Command::new("/usr/bin/rustc").arg("-vV")))?;
        let (major, minor) =
            llvm_version(&verbose).context("/usr/bin/rustc does not say its LLVM version")?;
        let linker = build_bpf_linker(&major, &minor)?;
        let objcopy = format!("llvm-objcopy-{major}");
        if paths::which(&objcopy).is_none() {
            setup::install(&[&format!("llvm-{major}")])?;
        }
        let objcopy = paths::which(&objcopy).with_context(|| format!("no {objcopy} in PATH"))?;
        let library = Path::new("/usr/lib/rustlib/src/rust");
        let mut sources = vec![library.to_path_buf()];
        sources.extend(library.canonicalize().ok());
        Ok(Self {
            cargo: "/usr/bin/cargo".into(),
            rustup: None,
            path: Some("/usr/bin".into()),
            identity: identity(&verbose, &linker, &objcopy)?,
            linker,
            objcopy,
            sources,
        })
    }

    fn rustup() -> Result<Self> {
        const HELP: &str = "the eBPF object needs one of\n  \
            Debian:  apt-get install --no-install-recommends rustc-web cargo-web rust-web-src\n  \
            rustup:  rustup toolchain install nightly --component rust-src,llvm-tools && cargo install bpf-linker\n\
            (the object in the tree is ready for use: this is only for changing it)";
        let rustc = |args: &[&str]| {
            exec::text(exec::without_cargo_env(Command::new("rustc").arg("+nightly").args(args)))
        };
        let verbose = rustc(&["-vV"]).context(HELP)?;
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let sources = sysroot.join("lib/rustlib/src/rust");
        if !sources.join("library/core/Cargo.toml").is_file() {
            bail!(
                "the nightly toolchain has no library sources: rustup component add rust-src --toolchain nightly\n{HELP}"
            );
        }
        let linker = paths::which("bpf-linker").with_context(|| format!("no bpf-linker in PATH\n{HELP}"))?;
        let host = verbose.lines().find_map(|l| l.strip_prefix("host: ")).context("rustc names no host")?;
        let own = sysroot.join("lib/rustlib").join(host).join("bin/llvm-objcopy");
        let objcopy = if own.is_file() { Some(own) } else { paths::which("llvm-objcopy") };
        let objcopy = objcopy.with_context(|| format!("no llvm-objcopy\n{HELP}"))?;
        Ok(Self {
            cargo: "cargo".into(),
            rustup: Some("+nightly"),
            path: None,
            identity: identity(&verbose, &linker, &objcopy)?,
            linker,
            objcopy,
            sources: vec![sources],
        })
    }

    /// A cargo command of this toolchain that heeds nothing an outer cargo set.
    pub(crate) fn cargo(&self) -> Result<Command> {
        let mut command = Command::new(&self.cargo);
        exec::without_cargo_env(&mut command);
        command.args(self.rustup).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        if let Some(first) = &self.path {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let all = std::iter::once(first.clone()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(all).context("PATH has a folder with a colon")?);
        }
        Ok(command)
    }

    /// Copies the object at `from` to `to` without DWARF; BTF stays.
    pub(crate) fn strip(&self, from: &Path, to: &Path) -> Result<()> {
        exec::output(Command::new(&self.objcopy).arg("--strip-debug").args([from, to])).map(drop)
    }
}

/// Debian's compiler, when it is the right one and complete.
fn debian_rustc() -> Option<String> {
    if !Path::new("/usr/bin/rustc").is_file() {
        return None;
    }
    let version =
        exec::text(exec::without_cargo_env(Command::new("/usr/bin/rustc").arg("--version"))).ok()?;
    version.strip_prefix("rustc ").is_some_and(|v| v.starts_with(DEBIAN_RUSTC)).then_some(version)
}

/// The major and minor number after `LLVM version:` in what `rustc -vV` says.
fn llvm_version(verbose: &str) -> Option<(String, String)> {
    let version = verbose.lines().find_map(|l| l.strip_prefix("LLVM version: "))?;
    let mut parts = version.trim().split('.');
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// Builds bpf-linker against the LLVM library of Debian's compiler, once, into the cache.
fn build_bpf_linker(major: &str, minor: &str) -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("tools/bpf-linker-{BPF_LINKER}-llvm-{major}"));
    let linker = root.join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    let name = format!("libLLVM.so.{major}.{minor}");
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .iter()
        .map(|dir| Path::new(dir).join(&name))
        .find(|file| file.exists())
        .with_context(|| format!("{name} is not where Debian puts it; it comes with libllvm{major}"))?;
    // The build looks for `lib/libLLVM.so` in a prefix; the library package brings only the versioned name.
    let prefix = root.join("llvm");
    std::fs::create_dir_all(prefix.join("lib"))?;
    let link = prefix.join("lib/libLLVM.so");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(&library, &link).with_context(|| format!("cannot make {}", link.display()))?;
    eprintln!("xtask: building bpf-linker {BPF_LINKER} for LLVM {major} (about a minute, once)");
    let mut cargo = Command::new("cargo");
    exec::without_cargo_env(&mut cargo);
    cargo
        .args([
            "install",
            "--quiet",
            "bpf-linker",
            "--version",
            BPF_LINKER,
            "--locked",
            "--no-default-features",
        ])
        .args(["--features", &format!("llvm-{major}"), "--root"])
        .arg(&root)
        .env("LLVM_PREFIX", &prefix);
    exec::shown_run(&mut cargo).context("could not build bpf-linker")?;
    Ok(linker)
}

/// Names everything whose version can change the object's bytes.
fn identity(verbose: &str, linker: &Path, objcopy: &Path) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}", verbose.lines().next().unwrap_or_default())?;
    if let Some(llvm) = verbose.lines().find(|l| l.starts_with("LLVM version: ")) {
        writeln!(text, "{llvm}")?;
    }
    writeln!(text, "{}", exec::text(Command::new(linker).arg("--version"))?.trim())?;
    let version = exec::text(Command::new(objcopy).arg("--version"))?;
    let version = version.lines().map(str::trim).find(|l| l.contains("version")).unwrap_or("unknown version");
    writeln!(text, "llvm-objcopy: {version}")?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_version_is_read_from_rustc() {
        let text = "rustc 1.96.0 (x 2026-05-25)\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_version(text), Some(("22".to_owned(), "1".to_owned())));
        assert_eq!(llvm_version("rustc 1.96.0"), None);
    }
}
