//! The few calls that aya does not offer: loading a trampoline into a module, what the kernel knows of a program, and the limit on BPF memory.

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
};

use aya_obj::generated::{
    PERF_FLAG_FD_CLOEXEC, bpf_attach_type, bpf_attr, bpf_btf_info, bpf_cmd, bpf_insn, bpf_link_info,
    bpf_prog_info, bpf_prog_type, perf_event_attr,
};

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: the attributes are a valid, zero-initialised union whose pointers outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as u32, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: the union is plain data; the kernel wants unused parts to be zero.
    unsafe { std::mem::zeroed() }
}

fn owned(fd: i64) -> OwnedFd {
    // SAFETY: the caller got this descriptor from the kernel just now and owns it.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Kernels before 5.11 charge BPF memory to this limit; later ones ignore it, so a failure does not matter.
pub(crate) fn raise_memlock() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: passes a pointer to a valid structure.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}

/// What a tracing program is to be attached to.
pub(super) struct Target<'a> {
    /// fentry, fexit or iterator.
    pub kind: bpf_attach_type,
    /// BTF object of the module; `None`: the kernel image.
    pub module: Option<BorrowedFd<'a>>,
    /// BTF id of the function.
    pub function: u32,
}

/// Loads a tracing program. On failure the verifier's last words come with the error.
pub(super) fn load_tracing(
    name: &str,
    code: &[bpf_insn],
    target: &Target<'_>,
) -> Result<OwnedFd, (io::Error, String)> {
    let attempt = |log: &mut [u8]| {
        let mut attr = zeroed();
        // SAFETY: this member of the union is the one BPF_PROG_LOAD reads.
        let u = unsafe { &mut attr.__bindgen_anon_3 };
        for (to, from) in u.prog_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from as libc::c_char;
        }
        u.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
        u.expected_attach_type = target.kind as u32;
        u.insns = code.as_ptr() as u64;
        u.insn_cnt = code.len() as u32;
        u.license = c"Dual MIT/GPL".as_ptr() as u64;
        u.attach_btf_id = target.function;
        u.__bindgen_anon_1.attach_btf_obj_fd = target.module.map_or(0, |fd| fd.as_raw_fd() as u32);
        if !log.is_empty() {
            u.log_level = 1;
            u.log_buf = log.as_mut_ptr() as u64;
            u.log_size = log.len() as u32;
        }
        bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr).map(owned)
    };
    attempt(&mut []).or_else(|first| {
        if first.raw_os_error() == Some(libc::EPERM) {
            return Err((first, String::new()));
        }
        // Once more, for the verifier's words.
        let mut log = vec![0; 1 << 20];
        attempt(&mut log).map_err(|error| {
            let text =
                String::from_utf8_lossy(log.split(|b| *b == 0).next().unwrap_or_default()).into_owned();
            let tail: Vec<_> = text.lines().rev().take(6).collect();
            (error, tail.into_iter().rev().collect::<Vec<_>>().join(" | "))
        })
    })
}

/// Attaches a loaded tracing program to its target.
pub(super) fn attach_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attr).map(owned)
}

/// Attaches a loaded kprobe program to a function. `kind` and `config` are what the kernel's perf events call such a probe.
pub(super) fn attach_kprobe(
    program: BorrowedFd<'_>,
    kind: u32,
    config: u64,
    symbol: &str,
) -> io::Result<OwnedFd> {
    let symbol = CString::new(symbol)?;
    // SAFETY: plain data; the kernel wants unused parts to be zero.
    let mut event: perf_event_attr = unsafe { std::mem::zeroed() };
    event.size = size_of::<perf_event_attr>() as u32;
    event.type_ = kind;
    event.config = config;
    event.__bindgen_anon_3.kprobe_func = symbol.as_ptr() as u64;
    // All processes; on which CPU does not matter for a program.
    let (process, cpu, group) = (-1_i64, 0_i64, -1_i64);
    // SAFETY: the attributes and the name they point to outlive the call.
    let probe = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const event, process, cpu, group, PERF_FLAG_FD_CLOEXEC)
    };
    if probe < 0 {
        return Err(io::Error::last_os_error());
    }
    // The link keeps the probe; its descriptor is not needed after that.
    let probe = owned(probe);
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = probe.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_PERF_EVENT as u32;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// How often the kprobe that such a link is of was hit without its program being called. Before 6.7 this would say 0, whatever there was.
pub(super) fn kprobe_missed(link: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: plain data.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    get_info(&link, &mut info).ok()?;
    // SAFETY: a link made by `attach_kprobe` is one of a kprobe, and zero is a number, too.
    Some(unsafe { info.__bindgen_anon_1.perf_event.__bindgen_anon_1.kprobe.missed })
}

/// Makes a loaded iterator program ready to be run.
pub(super) fn link_iterator(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_ITER as u32;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

/// One run of an iterator: reading to the end makes it happen.
pub(super) fn open_iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    attr.iter_create.link_fd = link.as_raw_fd() as u32;
    bpf(bpf_cmd::BPF_ITER_CREATE, &mut attr).map(owned)
}

/// BTF of a module, found by its name among all that are loaded. Needs CAP_SYS_ADMIN.
pub(super) fn module_btf(module: &str) -> io::Result<OwnedFd> {
    let mut id = 0;
    loop {
        let mut attr = zeroed();
        attr.__bindgen_anon_6.__bindgen_anon_1.start_id = id;
        bpf(bpf_cmd::BPF_BTF_GET_NEXT_ID, &mut attr)?;
        // SAFETY: the kernel has just written it.
        id = unsafe { attr.__bindgen_anon_6.next_id };
        let mut attr = zeroed();
        attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
        let fd = match bpf(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) {
            Ok(fd) => owned(fd),
            // It went away since.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => continue,
            Err(e) => return Err(e),
        };
        let mut name = [0u8; 64];
        // SAFETY: plain data.
        let mut info: bpf_btf_info = unsafe { std::mem::zeroed() };
        info.name = name.as_mut_ptr() as u64;
        info.name_len = name.len() as u32;
        get_info(&fd, &mut info)?;
        if info.kernel_btf != 0 && name.split(|b| *b == 0).next() == Some(module.as_bytes()) {
            return Ok(fd);
        }
    }
}

fn get_info<T>(fd: &impl std::os::fd::AsFd, info: &mut T) -> io::Result<()> {
    let mut attr = zeroed();
    attr.info.bpf_fd = fd.as_fd().as_raw_fd() as u32;
    attr.info.info = std::ptr::from_mut(info) as u64;
    attr.info.info_len = size_of::<T>() as u32;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(drop)
}

/// How often the kernel skipped the program because it was already inside one on that CPU (since 5.12).
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    // SAFETY: plain data.
    let mut info: bpf_prog_info = unsafe { std::mem::zeroed() };
    get_info(&program, &mut info).ok()?;
    Some(info.recursion_misses)
}
