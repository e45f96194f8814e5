//! What every object needs besides its programs.
#![cfg(target_arch = "bpf")]

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // No program may contain a reachable panic; the verifier rejects this loop, which makes such a program fail to load.
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
