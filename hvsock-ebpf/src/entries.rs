//! The programs: thin entries that fetch arguments and hand them to a handler.
//!
//! Names: `kp_` kprobe at the entry, `kr_` kprobe at the return, `fe_` fentry, `fx_` fexit, then the logical event. A return probe does not
//! see the arguments, so where a handler needs them the kprobe at the entry keeps them in the thread's row of `CALLS`.

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_get_func_ret},
    macros::{fentry, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{
        FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext,
    },
};
use hvsock_common::{CALL_ROWS, Call, Hook, Outcome, pair};

use crate::{
    accept, account, callback, close, connect, inventory,
    maps::{self, CALLS, Cpu, at},
    open, read, receive, refresh, ring, send, vmbus,
};

/// The value the traced function returned.
#[inline(always)]
fn returned(ctx: &FExitContext) -> i64 {
    let mut value = 0u64;
    // SAFETY: the helper writes eight bytes to a place of ours.
    let err = unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut value) };
    // Not to be linked with the value in the verifier's eyes, which older kernels get wrong.
    if core::hint::black_box(err) == 0 { value as i64 } else { 0 }
}

/// The same, where it lies if that is known; see [`Hook::arguments`].
#[inline(always)]
fn result(ctx: &FExitContext, hook: Hook) -> i64 {
    match hook.arguments() {
        Some(count) => ctx.arg(count),
        None => returned(ctx),
    }
}

/// This thread's place for a call of the kind `which`.
#[inline(always)]
fn place(which: usize) -> Option<(*mut Call, u64)> {
    let owner = bpf_get_current_pid_tgid();
    let row = CALLS.get_ptr_mut(owner as u32 & (CALL_ROWS - 1))?;
    // SAFETY: a map value, and `which` is one of the constants below the array's length.
    Some((unsafe { (&raw mut (*row).calls).cast::<Call>().add(which) }, owner))
}

/// Keeps arguments until the return.
#[inline(always)]
fn keep(which: usize, arg: u64, extra: u64) {
    if let Some((call, owner)) = place(which) {
        // SAFETY: see `place`. A thread whose number shares the row may overwrite this; its `owner` tells.
        unsafe { *call = Call { owner, arg, extra } };
    }
}

/// Takes back what the entry kept.
#[inline(always)]
fn kept(cpu: Cpu, hook: Hook, which: usize) -> Option<(u64, u64)> {
    let (call, owner) = place(which)?;
    // SAFETY: see `place`.
    unsafe {
        if (*call).owner != owner {
            account::unpaired(cpu, hook);
            return None;
        }
        (*call).owner = 0;
        Some(((*call).arg, (*call).extra))
    }
}

/// Runs `body` with this CPU's counters. They are there on every CPU that can run a program.
macro_rules! on_cpu {
    ($cpu:ident, $body:expr) => {{
        if let Some($cpu) = maps::cpu() {
            $body;
        }
        0
    }};
}

macro_rules! at_entry {
    ($hook:ident, $kp:ident, $fe:ident, $handler:expr) => {
        #[kprobe]
        fn $kp(ctx: ProbeContext) -> u32 {
            let handler: fn(Cpu, u64) -> Outcome = $handler;
            on_cpu!(cpu, account::decided(cpu, Hook::$hook, handler(cpu, ctx.arg(0).unwrap_or(0))))
        }
        #[fentry]
        fn $fe(ctx: FEntryContext) -> i32 {
            let handler: fn(Cpu, u64) -> Outcome = $handler;
            on_cpu!(cpu, account::decided(cpu, Hook::$hook, handler(cpu, ctx.arg(0))))
        }
    };
}

macro_rules! at_both {
    ($hook:ident, $kp:ident, $fe:ident, $begin:expr, $kr:ident, $fx:ident, $end:expr) => {
        #[kprobe]
        fn $kp(ctx: ProbeContext) -> u32 {
            let begin: fn(Cpu, u64) = $begin;
            on_cpu!(cpu, {
                account::entered(cpu, Hook::$hook);
                begin(cpu, ctx.arg(0).unwrap_or(0));
            })
        }
        #[fentry]
        fn $fe(ctx: FEntryContext) -> i32 {
            let begin: fn(Cpu, u64) = $begin;
            on_cpu!(cpu, {
                account::entered(cpu, Hook::$hook);
                begin(cpu, ctx.arg(0));
            })
        }
        #[kretprobe]
        fn $kr(ctx: RetProbeContext) -> u32 {
            let end: fn(Cpu, i64) -> Outcome = $end;
            on_cpu!(cpu, account::decided(cpu, Hook::$hook, end(cpu, ctx.ret::<i64>())))
        }
        #[fexit]
        fn $fx(ctx: FExitContext) -> i32 {
            let end: fn(Cpu, i64) -> Outcome = $end;
            on_cpu!(cpu, account::decided(cpu, Hook::$hook, end(cpu, returned(&ctx))))
        }
    };
}

macro_rules! at_return {
    ($hook:ident, $pair:expr, $args:tt, $kp:ident, $kr:ident, $fx:ident, $handler:expr) => {
        at_return!($hook, $pair, $args, $kp, $kr, $handler, $fx, $handler);
    };
    ($hook:ident, $pair:expr, ($a:literal, $b:literal), $kp:ident, $kr:ident, $handler:expr, $fx:ident, $typed:expr) => {
        #[kprobe]
        fn $kp(ctx: ProbeContext) -> u32 {
            on_cpu!(cpu, {
                account::entered(cpu, Hook::$hook);
                keep($pair, ctx.arg($a).unwrap_or(0), ctx.arg($b).unwrap_or(0));
            })
        }
        #[kretprobe]
        fn $kr(ctx: RetProbeContext) -> u32 {
            let handler: fn(Cpu, u64, u64, i64) -> Outcome = $handler;
            on_cpu!(cpu, {
                let outcome = match kept(cpu, Hook::$hook, $pair) {
                    Some((arg, extra)) => handler(cpu, arg, extra, ctx.ret::<i64>()),
                    None => Outcome::Faulted,
                };
                account::decided(cpu, Hook::$hook, outcome);
            })
        }
        #[fexit]
        fn $fx(ctx: FExitContext) -> i32 {
            let handler: fn(Cpu, u64, u64, i64) -> Outcome = $typed;
            on_cpu!(
                cpu,
                account::decided(
                    cpu,
                    Hook::$hook,
                    handler(cpu, ctx.arg($a), ctx.arg($b), result(&ctx, Hook::$hook))
                )
            )
        }
    };
}

at_entry!(Offer, kp_offer, fe_offer, |_cpu, message| open::offer(message));
at_both!(Open, kp_open, fe_open, |_cpu, hdev| open::begin(hdev), kr_open, fx_open, |_cpu, _ret| open::end());
at_both!(
    Lookup,
    kp_lookup,
    fe_lookup,
    |_cpu, _addr| open::lookup_begin(),
    kr_lookup,
    fx_lookup,
    |_cpu, sk| { open::lookup_end(sk as u64) }
);
at_both!(Create, kp_create, fe_create, |_cpu, _parent| (), kr_create, fx_create, |_cpu, child| {
    open::create_end(child as u64)
});
at_both!(Transport, kp_transport, fe_transport, |_cpu, _vsk| (), kr_transport, fx_transport, |_cpu, ret| {
    open::transport_end(ret)
});
at_both!(
    RingAlloc,
    kp_ring_alloc,
    fe_ring_alloc,
    |_cpu, _chan| open::alloc_begin(),
    kr_ring_alloc,
    fx_ring_alloc,
    |_cpu, ret| open::alloc_end(ret)
);
at_both!(
    HostOpen,
    kp_host_open,
    fe_host_open,
    |_cpu, _chan| open::host_open_begin(),
    kr_host_open,
    fx_host_open,
    |_cpu, ret| open::host_open_end(ret)
);
at_entry!(Established, kp_established, fe_established, |_cpu, vsk| open::established(vsk));
at_entry!(AcceptQueue, kp_accept_queue, fe_accept_queue, |_cpu, _listener| open::accept_queued());
at_return!(Accept, pair::ACCEPT, (0, 1), kp_accept, kr_accept, fx_accept, |_cpu, _sock, newsock, ret| {
    accept::end(newsock, ret)
});
at_entry!(Connect, kp_connect, fe_connect, |_cpu, vsk| connect::begin(vsk));
at_return!(
    ConnectEnd,
    pair::CONNECT,
    (0, 1),
    kp_connect_end,
    kr_connect_end,
    fx_connect_end,
    |_cpu, sock, _addr, ret| connect::end(sock, ret)
);
at_entry!(ConnectTimeout, kp_connect_timeout, fe_connect_timeout, |_cpu, work| connect::timeout(work));
at_both!(
    Callback,
    kp_callback,
    fe_callback,
    |cpu, sk| callback::begin(cpu, sk),
    kr_callback,
    fx_callback,
    |cpu, _ret| { callback::end(cpu) }
);
at_return!(
    RingWrite,
    pair::RING_WRITE,
    (0, 2),
    kp_ring_write,
    kr_ring_write,
    |cpu, chan, len, ret| send::ring_write(cpu, chan, len, ret, |out| ring::used(
        out.out_header,
        out.out_size
    )),
    fx_ring_write,
    |cpu, chan, len, ret| send::ring_write(cpu, chan, len, ret, |out| ring::used_typed(chan, out.out_size))
);
at_return!(Enqueue, pair::ENQUEUE, (0, 2), kp_enqueue, kr_enqueue, fx_enqueue, |cpu, vsk, len, ret| {
    send::enqueue(cpu, vsk, len, ret)
});
at_return!(Dequeue, pair::DEQUEUE, (0, 2), kp_dequeue, kr_dequeue, fx_dequeue, |cpu, vsk, _len, ret| {
    receive::dequeue(cpu, vsk, ret)
});
at_return!(SendEnd, pair::SEND, (0, 2), kp_send_end, kr_send_end, fx_send_end, |cpu, sock, len, ret| {
    send::end(cpu, sock, len, ret)
});
at_return!(RecvEnd, pair::RECV, (0, 2), kp_recv_end, kr_recv_end, fx_recv_end, |cpu, sock, _len, ret| {
    receive::end(cpu, sock, ret)
});
at_entry!(SendBlock, kp_send_block, fe_send_block, |cpu, vsk| send::block(cpu, vsk));
at_entry!(SendReady, kp_send_ready, fe_send_ready, |cpu, vsk| send::ready(cpu, vsk));
at_entry!(RecvBlock, kp_recv_block, fe_recv_block, |cpu, vsk| receive::block(cpu, vsk));
at_entry!(Release, kp_release, fe_release, |_cpu, vsk| close::release(vsk));
at_entry!(Rescind, kp_rescind, fe_rescind, |_cpu, chan| close::rescind(chan));
at_entry!(CloseTimeout, kp_close_timeout, fe_close_timeout, |_cpu, work| close::timeout(work));
at_entry!(Freed, kp_freed, fe_freed, |_cpu, vsk| close::freed(vsk));

at_return!(Bind, pair::BIND, (0, 1), kp_bind, kr_bind, fx_bind, |_cpu, _sock, _addr, ret| vmbus::bind(ret));
at_both!(Socket, kp_socket, fe_socket, |_cpu, _net| (), kr_socket, fx_socket, |_cpu, ret| vmbus::socket(ret));

/// `hyperv:vmbus_on_msg_dpc`: the loader says where the message's type is in the tracepoint's record.
#[tracepoint]
fn tp_host_message(ctx: TracePointContext) -> u32 {
    // SAFETY: the helper checks the address.
    let kind = unsafe { ctx.read_at::<u32>(at!(tp_msg_type) as usize) };
    let outcome = match kind {
        Ok(kind) => vmbus::host_message(kind),
        Err(_) => Outcome::Faulted,
    };
    on_cpu!(cpu, account::decided(cpu, Hook::HostMessage, outcome))
}

/// `hyperv:vmbus_teardown_gpadl`: the loader says where the result is in the tracepoint's record.
#[tracepoint]
fn tp_teardown(ctx: TracePointContext) -> u32 {
    // SAFETY: the helper checks the address.
    let ret = unsafe { ctx.read_at::<i32>(at!(tp_teardown_ret) as usize) };
    let outcome = match ret {
        Ok(ret) => vmbus::teardown(ret),
        Err(_) => Outcome::Faulted,
    };
    on_cpu!(cpu, account::decided(cpu, Hook::Teardown, outcome))
}

/// `hyperv:vmbus_chan_sched`, of a channel. Raw: other programs of tracepoints are not run while any of those, or of kprobes, runs on the CPU, or
/// while a map is read there from outside; and this one comes in an interrupt, in the middle of them.
#[raw_tracepoint]
fn rt_interrupt(ctx: RawTracePointContext) -> i32 {
    let outcome = match read::field::<u32>(ctx.arg(0), at!(chan_relid)) {
        Some(relid) => callback::interrupt(relid),
        None => Outcome::Faulted,
    };
    on_cpu!(cpu, account::decided(cpu, Hook::Interrupt, outcome))
}

/// Shows one open file of one process. aya-ebpf has no macro for iterators.
#[unsafe(no_mangle)]
#[cfg_attr(target_arch = "bpf", unsafe(link_section = "iter/task_file"))]
extern "C" fn it_inventory(ctx: *mut core::ffi::c_void) -> i32 {
    inventory::step(ctx) as i32
}

/// Never attached: the reader runs it for a listener it knows.
#[raw_tracepoint]
fn refresh_listener(ctx: RawTracePointContext) -> i32 {
    inventory::look_again(ctx.arg::<u64>(0));
    0
}

/// Never attached: the reader runs it before it reads.
#[raw_tracepoint]
fn refresh_rings(ctx: RawTracePointContext) -> i32 {
    refresh::from(ctx.arg::<u64>(0) as u32);
    0
}

/// Never attached: the loader runs it once to learn a variable of the kernel's. Zero when it cannot be read. The macro for raw tracepoints
/// would throw the result away.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn read_u32(ctx: *mut core::ffi::c_void) -> u32 {
    let at = RawTracePointContext::new(ctx).arg::<u64>(0);
    read::field(at, 0).unwrap_or(0)
}
