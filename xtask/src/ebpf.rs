//! Builds the eBPF objects that are committed in the tree, so that the same sources give the same bytes in any folder.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::toolchain::Toolchain;
use crate::{exec, paths};

const TARGET: &str = "bpfel-unknown-none";
const PACKAGE: &str = "hvsock-ebpf";

/// The objects in the tree, by the program of the package that each comes from.
const OBJECTS: [(&str, &str); 3] = [
    ("hvsock-ebpf", "hvsock-top/bpf/hvsock.bpf.o"),
    ("hvsock-lab", "hvsock-top/bpf/lab.bpf.o"),
    ("hvsock-tables", "hvsock-top/bpf/tables.bpf.o"),
];

/// `cargo xtask build-ebpf`
#[derive(Debug, clap::Args)]
pub(crate) struct BuildEbpf {
    /// Build, compare with the objects in the tree, and fail when they differ; nothing in the tree changes
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask build-ebpf`.
pub(crate) fn run(args: &BuildEbpf) -> Result<()> {
    if args.check {
        return check();
    }
    let workspace = paths::workspace();
    let toolchain = Toolchain::find()?;
    for (program, object) in OBJECTS {
        let committed = workspace.join(object);
        let built = build(&workspace, &toolchain, program)?;
        fs::create_dir_all(committed.parent().context("no folder")?)?;
        let same = fs::read(&committed).is_ok_and(|old| old == built);
        write_atomically(&identity_file(&committed), toolchain.identity.as_bytes())?;
        write_atomically(&committed, &built)?;
        eprintln!("xtask: {object} ({} bytes, {})", built.len(), if same { "as it was" } else { "changed" });
    }
    Ok(())
}

/// Builds one object and gives its bytes.
fn build(workspace: &Path, toolchain: &Toolchain, program: &str) -> Result<Vec<u8>> {
    // In a folder of its own: this compiler and the host's must not invalidate each other's work.
    let target = paths::target().join("ebpf");
    exec::shown_run(toolchain.cargo()?.current_dir(workspace).args(["fetch", "--quiet", "--locked"]))
        .context("could not fetch the crates that Cargo.lock names")?;
    let mut cargo = toolchain.cargo()?;
    cargo
        .current_dir(workspace)
        .args(["build", "--quiet", "--release", "--locked", "--package", PACKAGE, "--bin", program])
        .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(workspace, toolchain)?)
        // The workspace's release profile is for the host; here BTF needs the debug information of every crate.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("CARGO_PROFILE_RELEASE_LTO", "false")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    exec::shown_run(&mut cargo).context("the eBPF programs do not build")?;
    let linked = target.join(TARGET).join("release").join(program);
    let stripped = target.join(format!("{program}.bpf.o"));
    toolchain.strip(&linked, &stripped)?;
    let bytes = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
    if !contains(&bytes, b".BTF.ext\0") {
        bail!("the object has no .BTF.ext section: bpf-linker was not given --btf, or there are no programs");
    }
    Ok(bytes)
}

/// The compiler's flags. Every folder that can get into the object gets a fixed name.
fn rustflags(workspace: &Path, toolchain: &Toolchain) -> Result<OsString> {
    let mut flags: Vec<OsString> =
        vec![r#"--cfg=bpf_target_arch="x86_64""#.into(), "-Cdebuginfo=2".into(), "-Clink-arg=--btf".into()];
    let mut remap = |from: &Path, to: &str| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    };
    // When several prefixes match, the last one given wins: so from the general to the particular.
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|h| h.join(".cargo")))
        .context("no home directory is known: set CARGO_HOME")?;
    for registry in fs::read_dir(cargo_home.join("registry/src")).into_iter().flatten() {
        remap(&registry?.path(), "/registry");
    }
    for sources in &toolchain.sources {
        remap(sources, "/rust");
    }
    remap(workspace, "/hvsock-top");
    Ok(flags.join("\u{1f}".as_ref()))
}

/// Builds the objects anew and compares them with those in the tree.
pub(crate) fn check() -> Result<()> {
    let toolchain = Toolchain::find()?;
    OBJECTS.iter().try_for_each(|(program, object)| check_one(&toolchain, program, object))
}

fn check_one(toolchain: &Toolchain, program: &str, object: &str) -> Result<()> {
    let workspace = paths::workspace();
    let committed = workspace.join(object);
    let in_tree =
        fs::read(&committed).with_context(|| format!("{object} is missing: run `cargo xtask build-ebpf`"))?;
    let built = build(&workspace, toolchain, program)?;
    if in_tree == built {
        eprintln!("xtask: {object} in the tree is what its sources give ({} bytes)", built.len());
        return Ok(());
    }
    let recorded = fs::read_to_string(identity_file(&committed)).unwrap_or_default();
    let identity = &toolchain.identity;
    let why = if recorded == *identity {
        "its sources have changed: run `cargo xtask build-ebpf` and commit the result".to_owned()
    } else {
        format!(
            "this machine's toolchain is another one, so this says nothing about the sources.\nIt was built with:\n{recorded}\
             here is:\n{identity}Use the same toolchain, or run `cargo xtask build-ebpf` and commit both files."
        )
    };
    bail!(
        "{object} in the tree ({} bytes) differs from a fresh build ({} bytes): {why}",
        in_tree.len(),
        built.len()
    )
}

fn identity_file(object: &Path) -> PathBuf {
    let mut name = object.as_os_str().to_owned();
    name.push(".toolchain");
    name.into()
}

/// Writes a file so that a reader sees the old bytes or the new ones, never half of them.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|w| w == word)
}
