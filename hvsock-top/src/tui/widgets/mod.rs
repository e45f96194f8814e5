//! Pieces that views are made of. They know text and styles, not what is shown.

pub(super) mod bars;
pub(super) mod boxed;
pub(super) mod grid;
pub(super) mod line;
