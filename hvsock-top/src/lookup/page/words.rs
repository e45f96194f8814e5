//! Figures and text as the page writes them.

use crate::lookup::lab::Cell;

/// Median and quartiles.
pub(super) fn range(cell: &Cell) -> String {
    let spread = &cell.ns;
    format!("{} ({}–{})", time(spread.median), time(spread.p25), time(spread.p75))
}

pub(super) fn time(ns: f64) -> String {
    match ns {
        ns if ns < 9.95 => format!("{ns:.1} ns"),
        ns if ns < 9950.0 => format!("{ns:.0} ns"),
        ns if ns < 9.95e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// A large number, as far as it is known.
pub(super) fn count(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n >= 1e4 => format!("{:.0},000", n / 1e3),
        n => format!("{n:.0}"),
    }
}

/// A part of something.
pub(super) fn share(part: Option<f64>) -> String {
    known(part, |part| format!("{:.2} %", 100.0 * part))
}

/// What may not be known.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), show)
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_far_as_they_are_known() {
        assert_eq!([3.21, 812.4, 12_345.0, 1.3e7].map(time), ["3.2 ns", "812 ns", "12.3 µs", "13.0 ms"]);
        assert_eq!([12.4, 45_678.0, 2.5e8].map(count), ["12", "46,000", "250.0 million"]);
    }
}
