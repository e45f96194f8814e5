//! AF_HYPERV in hv_sock's place, for the time of a scenario.

pub(crate) use hvsock_guest::af_hyperv::{Counts, LOOKUPS, in_place as af_hyperv};
