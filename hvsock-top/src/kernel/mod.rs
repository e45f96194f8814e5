//! What this kernel is and how to watch it: BTF layout, symbols, probe plan, load and attach, privileges.
//!
//! Knows nothing of Snapshots: it hands out maps and verdicts. Depends on `hvsock_common` for the records.

mod attach;
mod btf;
mod error;
mod events;
mod facts;
mod fields;
mod iterator;
mod kprobe;
mod load;
mod loaded;
mod maps;
mod plan;
mod privilege;
mod searches;
mod survey;
mod symbols;
mod sys;
mod tables;
mod timing;
mod tracepoints;
mod trampoline;
mod verdict;

pub use btf::MODULES;
pub use btf::TypeInfo;
pub use error::Blind;
pub use facts::{Facts, Family, HvSock};
pub use fields::{Fields, resolve as resolve_fields};
pub use load::load;
pub use loaded::{LoadOptions, Loaded};
pub use maps::Mapped;
pub use plan::{Attach, Candidate, EVENTS, Event, Step};
pub use privilege::{
    ATTACHING, Circumstances, Held, Kept, LOOKING, Necessity, Need, on_behalf_of_user, reduce, renounce,
    with_permitted, without_capabilities,
};
pub use searches::Searches;
pub use survey::{BtfIn, Part, Presence, Survey, file_capabilities, hypervisor, is_nosuid, survey};
pub use symbols::Symbols;
pub(crate) use sys::raise_memlock;
pub use tables::{BUCKETS, Lengths, Tables, Unread};
pub use timing::Timing;
pub(crate) use verdict::words;
pub use verdict::{How, NotLoaded, Verdict};
