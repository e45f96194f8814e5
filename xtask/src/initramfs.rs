//! The guest's file tree: our static binaries, busybox, kernel modules, and the command to run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cpio::Archive;
use crate::fetch::Prepared;
use crate::{exec, modules, paths, setup};

/// The triple of the guest's binaries. Naming it, even where it is the host's own, keeps their flags away from build scripts.
const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// The packages whose binaries go into `/bin`, and the binaries' names.
const BINARIES: &[(&str, &str)] =
    &[("hvsock-guest", "guest"), ("hvsock-top", "hvsock-top"), ("hvsock-scenarios", "scenarios")];

/// The order in which init loads modules; those the kernel has built in are absent. hvhost must be there before hv_vmbus
/// looks for a hypervisor. af_hyperv, which takes hv_sock's place, is there but not loaded.
const LOAD_ORDER: &[&str] = &["vsock", "hvhost", "hv_vmbus", "hv_sock", "vsock_diag"];

/// What a program that is not static names as its loader.
const INTERPRETER: &[u8] = b"/lib64/ld-linux";

/// Where the guest's binary `name` is after [`build_binaries`].
pub(crate) fn binary(name: &str) -> PathBuf {
    paths::target().join(TRIPLE).join("release").join(name)
}

/// Builds the guest's binaries, linked statically: the guest has no libraries.
pub(crate) fn build_binaries() -> Result<()> {
    setup::ensure(&[setup::RUST])?;
    let mut cargo = Command::new("cargo");
    exec::without_cargo_env(&mut cargo);
    cargo.current_dir(paths::workspace()).env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", TRIPLE, "--target-dir"])
        .arg(paths::target());
    for (package, _) in BINARIES {
        cargo.args(["--package", package]);
    }
    exec::shown_run(&mut cargo).context("the guest's binaries do not build")
}

/// The part of the tree that every run of `kernel` shares.
pub(crate) fn base(kernel: &Prepared) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in ["bin", "dev", "dev/pts", "etc", "mod", "proc", "root", "run", "sys", "tmp"] {
        archive.directory(dir);
    }
    archive.device("dev/console", 5, 1);
    archive.symlink("init", "bin/guest");
    for (_, name) in BINARIES {
        let file = binary(name);
        archive.file(&format!("bin/{name}"), &read(&file)?, true);
    }
    let busybox = Path::new("/bin/busybox");
    let program = read(busybox)?;
    if program.windows(INTERPRETER.len()).any(|w| w == INTERPRETER) {
        bail!(
            "/bin/busybox needs libraries, which the guest has not: apt-get install --no-install-recommends busybox-static"
        );
    }
    archive.file("bin/busybox", &program, true);
    for applet in exec::text(Command::new(busybox).arg("--list"))?.lines().filter(|a| *a != "busybox") {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    let mut present = Vec::new();
    for entry in fs::read_dir(kernel.modules())? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        archive.file(&format!("mod/{name}.ko"), &read(&path)?, false);
        present.push(name);
    }
    for (name, file) in modules::build(kernel)? {
        archive.file(&format!("mod/{name}.ko"), &read(&file)?, false);
        present.push(name.to_owned());
    }
    archive.file("mod/load", load_list(&present).as_bytes(), false);
    Ok(archive.finish())
}

/// What one run adds: the command, and files for `/bin`.
pub(crate) fn per_run(command: &[String], files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("cmd", command.join("\0").as_bytes(), false);
    for file in files {
        let name = file.file_name().with_context(|| format!("{} names no file", file.display()))?;
        archive.file(&format!("bin/{}", name.to_string_lossy()), &read(file)?, true);
    }
    Ok(archive.finish())
}

fn load_list(present: &[String]) -> String {
    let present = LOAD_ORDER.iter().filter(|name| present.iter().any(|p| p == *name));
    present.flat_map(|name| [name, ".ko\n"]).collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_load_in_order_and_only_those_there_are() {
        let present = ["hvhost", "hv_sock", "hv_vmbus", "vsock_loopback", "vsock"].map(str::to_owned);
        assert_eq!(load_list(&present), "vsock.ko\nhvhost.ko\nhv_vmbus.ko\nhv_sock.ko\n");
    }
}
