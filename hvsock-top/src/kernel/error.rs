//! Why the kernel cannot be observed, and what to do about it.

/// Why the kernel cannot be observed.
#[derive(Debug, thiserror::Error)]
pub enum Blind {
    /// The kernel has no hv_sock.
    #[error("hv_sock is not loaded, so there are no Hyper-V sockets to watch")]
    NoHvSock,
    /// The kernel carries no BTF.
    #[error("this kernel does not describe its types (no {path}), so no field can be found in its memory")]
    NoBtf {
        /// The file that is not there.
        path: String,
    },
    /// BTF is there but cannot be read or understood.
    #[error("the kernel's type information in {path} cannot be read: {reason}")]
    BadBtf {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Not enough privilege.
    #[error("not permitted to {action}: {reason}")]
    NotPermitted {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The eBPF object was built from other records than this binary.
    #[error(
        "the eBPF object does not match this binary (its records have fingerprint {found:#x}, not {wanted:#x})"
    )]
    AbiMismatch {
        /// The object's.
        found: u64,
        /// Ours.
        wanted: u64,
    },
    /// A required event has no working probe.
    #[error("the event `{event}` cannot be observed: {reason}")]
    Required {
        /// The event.
        event: &'static str,
        /// Why.
        reason: String,
    },
    /// Anything the BPF loader says.
    #[error("the eBPF programs cannot be loaded: {reason}")]
    Load {
        /// What it says.
        reason: String,
    },
    /// Reading /proc or the like failed.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// What was to be read.
        path: String,
        /// Why not.
        reason: String,
    },
}

impl Blind {
    /// What to do about it, in one line.
    pub fn remedy(&self) -> &'static str {
        match self {
            Blind::NoHvSock => {
                "load it with `modprobe hv_sock` (a Hyper-V guest needs it for host connections), then start again"
            }
            Blind::NoBtf { .. } => {
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y (distribution kernels since 2020 are)"
            }
            Blind::BadBtf { .. } => {
                "check that the file is readable; if it is, please report the kernel version"
            }
            Blind::NotPermitted { .. } => {
                "run as root, or allow it once with `setcap cap_bpf,cap_perfmon+ep hvsock-top` and `sysctl kernel.perf_event_paranoid=2`; `hvsock-top doctor` says what is missing"
            }
            Blind::AbiMismatch { .. } => {
                "rebuild the object with `cargo xtask build-ebpf`, then rebuild hvsock-top"
            }
            Blind::Required { .. } | Blind::Load { .. } => {
                "run again with --verbose for the kernel's own words, and please report the kernel version"
            }
            Blind::Read { .. } => "check that /proc and /sys are mounted and readable",
        }
    }

    /// Whether more privilege would help (exit code 3 instead of 4).
    pub fn is_privilege(&self) -> bool {
        matches!(self, Blind::NotPermitted { .. })
    }
}
