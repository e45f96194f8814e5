//! The inventory: a walk over all open files, run by the reader now and then. It finds connections and listeners that were there before
//! the probes, and who has them open.
//!
//! The iterator holds a reference to each file while it shows it, so the socket behind it cannot be closed meanwhile.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use hvsock_common::{ConnRecord, Hook, ListenerRecord, Outcome, State};

use crate::{
    account, inherit,
    maps::{self, LISTENERS, at},
    read,
};

/// `S_IFMT` and `S_IFSOCK` (include/uapi/linux/stat.h).
const KIND: u16 = 0o170_000;
const SOCKET: u16 = 0o140_000;

/// What the iterator shows (`struct bpf_iter__task_file`, kernel/bpf/task_iter.c).
#[repr(C)]
#[derive(Clone, Copy)]
struct Shown {
    meta: u64,
    task: u64,
    fd: u32,
    pad: u32,
    file: u64,
}

/// The process that has the file open.
#[derive(Clone, Copy)]
struct Holder {
    task: u64,
    fd: i32,
    /// Number of this walk, never zero.
    pass: u32,
}

/// One step of the walk. The last one shows nothing. True: show the same file once more.
#[inline(always)]
pub(crate) fn step(ctx: *const core::ffi::c_void) -> bool {
    // Copied as memory, because the verifier lets nobody calculate with the typed pointers it would find there.
    let mut shown = Shown { meta: 0, task: 0, fd: 0, pad: 0, file: 0 };
    // SAFETY: the context is the structure above; the helper checks the address.
    let err = unsafe { bpf_probe_read_kernel((&raw mut shown).cast(), size_of::<Shown>() as u32, ctx) };
    if err != 0 || shown.file == 0 {
        return false;
    }
    let mut again = false;
    let outcome = match read::field::<u64>(shown.meta, at!(iter_session)) {
        Some(session) => {
            let pass = (session as u32).max(1);
            file(shown.file, Holder { task: shown.task, fd: shown.fd as i32, pass }, &mut again)
        }
        None => Outcome::Faulted,
    };
    if let Some(cpu) = maps::cpu() {
        account::decided(cpu, Hook::Inventory, outcome);
    }
    again
}

#[inline(always)]
fn file(file: u64, holder: Holder, again: &mut bool) -> Outcome {
    let Some(mode) =
        read::field::<u64>(file, at!(file_inode)).and_then(|i| read::field::<u16>(i, at!(inode_mode)))
    else {
        return Outcome::Faulted;
    };
    // What `private_data` is depends on the kind of file; nothing is read through it until the kind is known.
    if mode & KIND != SOCKET {
        return Outcome::Filtered;
    }
    let Some(socket) = read::field::<u64>(file, at!(file_private)) else { return Outcome::Faulted };
    // A file opened with O_PATH has no socket behind it.
    if socket == 0 || read::field::<u64>(socket, at!(socket_file)) != Some(file) {
        return Outcome::Filtered;
    }
    let Some(sk) = read::field::<u64>(socket, at!(socket_sk)) else { return Outcome::Faulted };
    if read::field::<u16>(sk, at!(sk_family)).map(u32::from) != Some(at!(family)) {
        return Outcome::Filtered;
    }
    let Some(state) = read::field::<u8>(sk, at!(sk_state)) else { return Outcome::Faulted };
    if u32::from(state) == at!(state_listen) {
        *again = inherit::queue(sk);
        return listener(sk, holder);
    }
    match inherit::of_socket(sk) {
        Some(slot) => {
            owned(slot, holder);
            Outcome::Recorded
        }
        // Not connected, another transport's, or being opened at this moment.
        None => Outcome::Filtered,
    }
}

/// Notes who has the connection open. A process that was seen connecting or accepting stays its owner, and gets its descriptor; else the
/// first process of each walk is the owner.
#[inline(always)]
fn owned(slot: *mut ConnRecord, holder: Holder) {
    let Some(pid) = read::field::<u32>(holder.task, at!(task_tgid)) else { return };
    // SAFETY: a map value. The hooks that write the owner are done: the connection is established, and has a file.
    unsafe {
        if (*slot).state == State::Opening as u32 {
            return;
        }
        if (*slot).pid == pid && (*slot).owner_pass == 0 {
            (*slot).fd = holder.fd;
            return;
        }
        if (*slot).pid != 0 && ((*slot).owner_pass == 0 || (*slot).owner_pass == holder.pass) {
            return;
        }
        (*slot).comm = read::field(holder.task, at!(task_comm)).unwrap_or([0; 16]);
        (*slot).fd = holder.fd;
        (*slot).owner_pass = holder.pass;
        (*slot).pid = pid;
    }
}

#[inline(always)]
fn listener(sk: u64, holder: Holder) -> Outcome {
    let Some(record) = LISTENERS.get_ptr_mut(sk) else {
        let mut record = ListenerRecord::default();
        if !look(sk, &raw mut record) {
            return Outcome::Faulted;
        }
        // SAFETY: it lies on our own stack.
        unsafe { held(&raw mut record, holder) };
        return match LISTENERS.insert(sk, record, 0) {
            Ok(()) => Outcome::Recorded,
            Err(_) => Outcome::MapFull,
        };
    };
    if !look(sk, record) {
        return Outcome::Faulted;
    }
    // SAFETY: a map value; walks are run by one thread.
    unsafe {
        (*record).gone = 0;
        if (*record).pass != holder.pass {
            held(record, holder);
        }
    }
    Outcome::Recorded
}

/// # Safety
/// `record` can be written.
#[inline(always)]
unsafe fn held(record: *mut ListenerRecord, holder: Holder) {
    // SAFETY: as the caller says.
    unsafe {
        (*record).pid = read::field(holder.task, at!(task_tgid)).unwrap_or(0);
        (*record).comm = read::field(holder.task, at!(task_comm)).unwrap_or([0; 16]);
        (*record).fd = holder.fd;
        (*record).pass = holder.pass;
    }
}

/// Reads the listener's port and backlog.
#[inline(always)]
fn look(sk: u64, record: *mut ListenerRecord) -> bool {
    let (Some(port), Some(backlog), Some(max)) = (
        read::field::<u32>(sk, at!(vsk_local_port)),
        read::field::<u32>(sk, at!(sk_ack_backlog)),
        read::field::<u32>(sk, at!(sk_max_ack_backlog)),
    ) else {
        return false;
    };
    // SAFETY: callers pass a map value or a local.
    unsafe {
        (*record).port = port;
        (*record).backlog = backlog;
        (*record).max_backlog = max;
        if backlog > (*record).peak_backlog {
            (*record).peak_backlog = backlog;
        }
    }
    true
}

/// A fresh look at one listener between two walks, run by the reader. Nothing holds the socket here, so it may be gone. It is not
/// mistaken for alive: closing it sets `SOCK_DEAD` before its memory can be freed, and what comes into that memory afterwards would have
/// to be another listening vsock socket, which is then found to have another port, or is what the record is about.
#[inline(always)]
pub(crate) fn look_again(sk: u64) {
    let Some(record) = LISTENERS.get_ptr_mut(sk) else { return };
    let listens = read::field::<u16>(sk, at!(sk_family)).map(u32::from) == Some(at!(family))
        && read::field::<u8>(sk, at!(sk_state)).map(u32::from) == Some(at!(state_listen))
        && read::field::<u64>(sk, at!(sk_flags)).is_some_and(|flags| flags & inherit::SOCK_DEAD == 0);
    // SAFETY: a map value; walks and looks are run by one thread.
    unsafe {
        let same = read::field::<u32>(sk, at!(vsk_local_port)) == Some((*record).port);
        (*record).gone = u32::from(!listens || !same || !look(sk, record));
    }
}
