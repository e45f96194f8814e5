//! Least privilege: once everything is attached, nearly nothing is needed any more.

use std::io::Write as _;

use caps::Capability;

use crate::collect::Live;

/// Gives up what is not needed any more. It is a precaution: where it fails, that is said and the work goes on.
pub(super) fn reduce(live: &mut Live, verbose: bool) {
    reduce_but(live, &[], verbose);
}

/// The same, but `stays` remain at hand for `kernel::with_permitted`, where they are held.
pub(super) fn reduce_but(live: &mut Live, stays: &[Capability], verbose: bool) {
    let names = |set: &[Capability]| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let text = match live.reduce_privileges(stays) {
        Ok(_) if !verbose => return,
        Ok(kept) if kept.permitted.is_empty() => "privileges: all given up".to_owned(),
        Ok(kept) if kept.effective.is_empty() => {
            format!(
                "privileges: none in force; at hand for attaching again or renewing the output: {}",
                names(&kept.permitted)
            )
        }
        Ok(kept) => {
            format!("privileges: in force {}, permitted {}", names(&kept.effective), names(&kept.permitted))
        }
        Err(reason) => format!("hvsock-top: privileges that are not needed could not be given up: {reason}"),
    };
    let _ = writeln!(std::io::stderr(), "{text}");
}
