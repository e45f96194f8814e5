//! Programs that do nothing, one of each kind: the benchmark attaches them where the real ones sit, to tell what being called costs from what
//! the programs do.

use aya_ebpf::{
    macros::{fentry, fexit, kprobe, kretprobe, raw_tracepoint, tracepoint},
    programs::{
        FEntryContext, FExitContext, ProbeContext, RawTracePointContext, RetProbeContext, TracePointContext,
    },
};

#[kprobe]
fn kp_empty(_ctx: ProbeContext) -> u32 {
    0
}

#[kretprobe]
fn kr_empty(_ctx: RetProbeContext) -> u32 {
    0
}

#[fentry]
fn fe_empty(_ctx: FEntryContext) -> i32 {
    0
}

#[fexit]
fn fx_empty(_ctx: FExitContext) -> i32 {
    0
}

#[raw_tracepoint]
fn rt_empty(_ctx: RawTracePointContext) -> i32 {
    0
}

#[tracepoint]
fn tp_empty(_ctx: TracePointContext) -> u32 {
    0
}
