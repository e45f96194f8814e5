//! Builds the test bed's own kernel modules against a cached kernel's headers.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::fetch::Prepared;
use crate::{exec, paths, setup};

/// The modules, each a folder `tests/NAME` with a Kbuild file that makes `NAME.ko`.
pub(crate) const OWN_MODULES: &[&str] = &["hvhost", "af_hyperv"];

/// Builds every module of [`OWN_MODULES`] for `kernel`; gives each one's name and file.
pub(crate) fn build(kernel: &Prepared) -> Result<Vec<(&'static str, PathBuf)>> {
    let dir = paths::target().join("vm").join(format!("{}_{}", kernel.id, kernel.key));
    let one = |name: &&'static str| {
        let module = build_one(kernel, name, &dir.join(name));
        Ok((*name, module.with_context(|| format!("no {name}.ko in {}", dir.display()))?))
    };
    OWN_MODULES.iter().map(one).collect()
}

/// Builds the module `name` in the folder `work`, unless it has been built there from the same sources.
fn build_one(kernel: &Prepared, name: &str, work: &Path) -> Result<PathBuf> {
    let sources = paths::workspace().join("tests").join(name);
    fs::create_dir_all(work).with_context(|| format!("cannot make {}", work.display()))?;
    // Two runs side by side build the same module: one builds, the other then finds it done.
    let lock = fs::File::create(work.with_extension("lock"))?;
    lock.lock().context("cannot lock the module's folder")?;

    let files = source_files(&sources)?;
    let fingerprint = fingerprint(&sources, &files)?;
    let (module, stamp) = (work.join(format!("{name}.stripped.ko")), work.join("built-from"));
    if module.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == fingerprint) {
        return Ok(module);
    }
    eprintln!("xtask: building {name}.ko for {}", kernel.key);
    fs::remove_dir_all(work)?;
    for file in &files {
        let to = work.join(file);
        fs::create_dir_all(to.parent().context("no folder")?)?;
        fs::copy(sources.join(file), to)?;
    }
    let headers = kernel.headers()?;
    let compiler = compiler(&headers)?;
    let mut m = std::ffi::OsString::from("M=");
    m.push(work);
    let mut make = Command::new("make");
    exec::without_cargo_env(&mut make);
    make.env_remove("MAKEFLAGS").arg("-C").arg(&headers).arg(m).arg(format!("CC={compiler}")).arg("modules");
    let out =
        exec::output(&mut make).with_context(|| format!("{name}.ko does not build for {}", kernel.key))?;
    for line in String::from_utf8_lossy(&out.stderr).lines().filter(|line| worth_showing(line)) {
        eprintln!("{line}");
    }
    // Without DWARF it is a tenth of the size. BTF stays.
    exec::output(
        Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(&module)
            .arg(work.join(format!("{name}.ko"))),
    )?;
    fs::write(&stamp, &fingerprint)?;
    Ok(module)
}

/// Headers of distributions always lack something the kernel's build looks for; what is known to be harmless is not shown.
fn worth_showing(line: &str) -> bool {
    const HARMLESS: &[&str] = &[
        "the compiler differs from the one used to build the kernel",
        "The kernel was built by:",
        "You are using:",
    ];
    !line.trim().is_empty() && !HARMLESS.iter().any(|h| line.contains(h))
}

/// The compiler of the kernel's own major version, which its flags and plugins expect.
fn compiler(headers: &Path) -> Result<String> {
    let config = fs::read_to_string(headers.join(".config"))
        .with_context(|| format!("no .config in {}", headers.display()))?;
    let version: u32 = config
        .lines()
        .find_map(|l| l.strip_prefix("CONFIG_GCC_VERSION=")?.trim().parse().ok())
        .context("the kernel's .config does not say its gcc version")?;
    let name = format!("gcc-{}", version / 10_000);
    if paths::which(&name).is_none() {
        setup::install(&[&name])?;
    }
    Ok(name)
}

/// The module's files, sorted, relative to its folder; what a build by hand left behind is not among them.
fn source_files(dir: &Path) -> Result<Vec<PathBuf>> {
    fn list(root: &Path, at: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(at).with_context(|| format!("cannot list {}", at.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                list(root, &path, files)?;
            } else if is_source(&path) {
                files.push(path.strip_prefix(root)?.to_owned());
            }
        }
        Ok(())
    }
    let mut files = Vec::new();
    list(dir, dir, &mut files)?;
    files.sort();
    if !files.iter().any(|f| f.as_os_str() == "Kbuild") {
        bail!("{} has no Kbuild file", dir.display());
    }
    Ok(files)
}

fn is_source(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let generated = name.starts_with('.') || name.ends_with(".mod.c");
    !generated && (name == "Kbuild" || [".c", ".h", ".S"].iter().any(|end| name.ends_with(end)))
}

fn fingerprint(dir: &Path, files: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::read(dir.join(file))?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_count() {
        for name in ["Kbuild", "host.c", "sub/ring.h", "entry.S"] {
            assert!(is_source(Path::new(name)), "{name}");
        }
        for name in ["hvhost.ko", "host.o", ".host.o.cmd", "hvhost.mod.c", "Module.symvers", "README"] {
            assert!(!is_source(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn compiler_messages_are_shown_but_known_noise_is_not() {
        assert!(worth_showing("host.c:3:5: warning: unused variable 'x'"));
        assert!(worth_showing("Skipping BTF generation for hvhost.ko due to unavailability of vmlinux"));
        assert!(!worth_showing("warning: the compiler differs from the one used to build the kernel"));
        assert!(!worth_showing("  "));
    }
}
