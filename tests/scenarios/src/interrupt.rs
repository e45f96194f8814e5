//! Threads that a signal finds in the middle of a system call.

use std::os::unix::thread::JoinHandleExt as _;
use std::sync::Once;
use std::thread::JoinHandle;

use anyhow::{Result, ensure};

/// A signal nobody else uses.
const SIGNAL: libc::c_int = libc::SIGUSR1;

extern "C" fn nothing(_signal: libc::c_int) {}

/// Interrupts the system call that `thread` is in: it ends with EINTR.
pub(crate) fn interrupt<T>(thread: &JoinHandle<T>) -> Result<()> {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // SAFETY: all zero bits are a valid sigaction: an empty mask, and no SA_RESTART. The handler does nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut());
        }
    });
    ensure!(!thread.is_finished(), "the call has ended before the signal");
    // SAFETY: the thread has not been joined, so its handle is valid.
    let error = unsafe { libc::pthread_kill(thread.as_pthread_t(), SIGNAL) };
    ensure!(error == 0, "cannot signal a thread: {}", std::io::Error::from_raw_os_error(error));
    Ok(())
}
