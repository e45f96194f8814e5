//! The two families that Hyper-V sockets have had, and their addresses. Everything else about a stream is the same.

use std::mem::{size_of, zeroed};
use std::sync::atomic::{AtomicBool, Ordering};

/// Which family the sockets of this process belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Family {
    /// AF_VSOCK with the transport hv_sock, which kernels have.
    Vsock,
    /// AF_HYPERV as it was proposed in 2016: the module `tests/af_hyperv`.
    #[value(name = "af_hyperv")]
    AfHyperv,
}

/// Not in libc: the number that the patch took. In today's kernels it is AF_SMC's.
const AF_HYPERV: libc::c_int = 43;

/// A service GUID that stands for a port begins with the port and ends like this.
const TEMPLATE: [u8; 12] = [0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3];

/// One setting for the whole process, as a program uses one family or the other.
static AF_HYPERV_USED: AtomicBool = AtomicBool::new(false);

impl Family {
    /// The family that new sockets get.
    pub fn current() -> Self {
        if AF_HYPERV_USED.load(Ordering::Relaxed) { Self::AfHyperv } else { Self::Vsock }
    }

    /// Makes it the family of all sockets from now on.
    pub fn make_current(self) {
        AF_HYPERV_USED.store(self == Self::AfHyperv, Ordering::Relaxed);
    }

    /// Its number, for socket().
    pub(crate) fn number(self) -> libc::c_int {
        match self {
            Self::Vsock => libc::AF_VSOCK,
            Self::AfHyperv => AF_HYPERV,
        }
    }

    /// Its own protocol for streams, for socket().
    pub(crate) fn protocol(self) -> libc::c_int {
        match self {
            Self::Vsock => 0,
            Self::AfHyperv => 1, // SHV_PROTO_RAW
        }
    }
}

/// `struct sockaddr_hv` of the patch.
#[repr(C)]
#[derive(Clone, Copy)]
struct SockaddrHv {
    family: libc::sa_family_t,
    reserved: u16,
    vm: [u8; 16],
    service: [u8; 16],
}

/// An address of either family.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) union Address {
    vsock: libc::sockaddr_vm,
    hyperv: SockaddrHv,
}

impl Address {
    /// `port` of the host's, or of any virtual machine's when it is ours.
    pub(crate) fn new(family: Family, to_host: bool, port: u32) -> Self {
        match family {
            Family::Vsock => Self {
                vsock: libc::sockaddr_vm {
                    svm_family: libc::AF_VSOCK as libc::sa_family_t,
                    svm_reserved1: 0,
                    svm_port: port,
                    svm_cid: if to_host { libc::VMADDR_CID_HOST } else { libc::VMADDR_CID_ANY },
                    svm_zero: [0; 4],
                },
            },
            Family::AfHyperv => {
                let mut service = [0; 16];
                service[..4].copy_from_slice(&port.to_le_bytes());
                service[4..].copy_from_slice(&TEMPLATE);
                let family = AF_HYPERV as libc::sa_family_t;
                Self { hyperv: SockaddrHv { family, reserved: 0, vm: [0; 16], service } }
            }
        }
    }

    /// Room for an address that the kernel fills in.
    pub(crate) fn empty() -> Self {
        // SAFETY: all zero bits are a valid value of either member.
        unsafe { zeroed() }
    }

    /// For a call that reads it; with [`Self::len`].
    pub(crate) fn as_ptr(&self) -> *const libc::sockaddr {
        std::ptr::from_ref(self).cast()
    }

    /// For a call that fills it in; with [`Self::len`].
    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        std::ptr::from_mut(self).cast()
    }

    /// How many bytes an address of `family` has.
    pub(crate) fn len(family: Family) -> libc::socklen_t {
        let len = match family {
            Family::Vsock => size_of::<libc::sockaddr_vm>(),
            Family::AfHyperv => size_of::<SockaddrHv>(),
        };
        len as libc::socklen_t
    }

    /// The port; for AF_HYPERV the number that its service GUID begins with.
    pub(crate) fn port(&self, family: Family) -> u32 {
        // SAFETY: every byte is initialised and either member takes any bits.
        unsafe {
            match family {
                Family::Vsock => self.vsock.svm_port,
                Family::AfHyperv => {
                    let [a, b, c, d, ..] = self.hyperv.service;
                    u32::from_le_bytes([a, b, c, d])
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_comes_back_out_of_either_address() {
        for family in [Family::Vsock, Family::AfHyperv] {
            assert_eq!(Address::new(family, true, 0x1234_5678).port(family), 0x1234_5678);
        }
    }

    #[test]
    fn the_patch_has_36_bytes_and_the_template_of_vsock() {
        assert_eq!(Address::len(Family::AfHyperv), 36);
        let address = Address::new(Family::AfHyperv, false, 5000);
        // SAFETY: it has just been made as one.
        let bytes = unsafe { address.hyperv.service };
        // 00001388-facb-11e6-bd58-64006a7986d3, the first three groups little-endian.
        assert_eq!(bytes[..10], [0x88, 0x13, 0, 0, 0xcb, 0xfa, 0xe6, 0x11, 0xbd, 0x58]);
    }
}
