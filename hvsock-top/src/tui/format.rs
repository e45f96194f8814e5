//! Numbers as people read them. What is unknown is a dash, never zero.

use std::borrow::Cow;

/// Stands for what was not measured.
pub(super) const UNKNOWN: &str = "–";

/// A value, or a dash.
pub(super) fn or_dash<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed(UNKNOWN), |value| Cow::Owned(show(value)))
}

/// A count: exact up to 99,999, then with three significant digits.
pub(super) fn count(n: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    if n < 100_000 {
        return n.to_string();
    }
    for (unit, name) in UNITS {
        if n >= unit {
            return scaled(n as f64 / unit as f64, name, "");
        }
    }
    n.to_string()
}

/// A number of bytes.
pub(super) fn bytes(n: u64) -> String {
    in_bytes(n as f64, "")
}

/// Bytes per second.
pub(super) fn byte_rate(n: f64) -> String {
    in_bytes(n, "/s")
}

fn in_bytes(n: f64, per: &str) -> String {
    let mut n = n;
    if n < 999.5 {
        return format!("{n:.0} B{per}");
    }
    for unit in ["KiB", "MiB", "GiB", "TiB"] {
        n /= 1024.0;
        if n < 999.5 {
            return scaled(n, &format!(" {unit}"), per);
        }
    }
    scaled(n / 1024.0, " PiB", per)
}

/// Events per second.
pub(super) fn rate(n: f64) -> String {
    if n >= 99_999.5 {
        return format!("{}/s", count(n as u64));
    }
    match n {
        n if n == 0.0 || n >= 99.95 => format!("{n:.0}/s"),
        n if n < 0.095 => format!("{n:.2}/s"),
        n => format!("{n:.1}/s"),
    }
}

/// Three significant digits.
fn scaled(n: f64, unit: &str, per: &str) -> String {
    match n {
        n if n < 9.995 => format!("{n:.2}{unit}{per}"),
        n if n < 99.95 => format!("{n:.1}{unit}{per}"),
        n => format!("{n:.0}{unit}{per}"),
    }
}

/// A latency: three significant digits.
pub(super) fn duration(ns: u64) -> String {
    let n = ns as f64;
    match ns {
        0..=999 => format!("{ns} ns"),
        1_000..=999_499 => scaled(n / 1e3, " µs", ""),
        999_500..=999_499_999 => scaled(n / 1e6, " ms", ""),
        _ if n < 99.95e9 => scaled(n / 1e9, " s", ""),
        _ => age(ns),
    }
}

/// An age: the two largest units.
pub(super) fn age(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0..=9 => format!("{:.1}s", (ns / 100_000_000) as f64 / 10.0),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A position on a time line: minutes and seconds, with hours where there are any.
pub(super) fn clock(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes:02}:{seconds:02}")
    }
}

/// A share of something, in per cent. What is not nothing is not shown as nothing, nor as all what is not all.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.5 => "<1%".to_owned(),
        p if (99.5..100.0).contains(&p) => "99%".to_owned(),
        p => format!("{p:.0}%"),
    }
}

/// The time of day of an RFC 3339 time, as it stands there (UTC).
pub(super) fn time_of_day(time: &str) -> &str {
    let time = time.split_once('T').map_or(time, |(_, time)| time);
    time.get(..8).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_short() {
        for (n, text) in [
            (0, "0"),
            (99_999, "99999"),
            (100_000, "100k"),
            (123_456, "123k"),
            (9_994_999, "9.99M"),
            (12_300_000, "12.3M"),
            (1_000_000_000_000, "1.00T"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn sizes_and_rates_have_three_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "0.98 KiB");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(1 << 20), "1.00 MiB");
        assert_eq!(bytes(u64::MAX), "16384 PiB");
        assert_eq!(byte_rate(10_240.0), "10.0 KiB/s");
        assert_eq!(rate(0.0), "0/s");
        assert_eq!(rate(0.04), "0.04/s");
        assert_eq!(rate(3.25), "3.2/s");
        assert_eq!(rate(99.95), "100/s");
        assert_eq!(rate(1e6), "1.00M/s");
    }

    #[test]
    fn durations_change_units_without_a_gap() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_340, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (8_000_000_000, "8.00 s"),
            (120_000_000_000, "2m00s"),
        ] {
            assert_eq!(duration(ns), text);
        }
        assert_eq!(age(9_950_000_000), "9.9s");
        assert_eq!(age(3_661_000_000_000), "1h01m");
        assert_eq!(age(90_000_000_000_000), "1d01h");
        assert_eq!(clock(3_661_000_000_000), "1:01:01");
    }

    #[test]
    fn shares_do_not_round_to_none_or_all() {
        assert_eq!(percent(0.0), "0%");
        assert_eq!(percent(0.001), "<1%");
        assert_eq!(percent(0.999), "99%");
        assert_eq!(percent(1.0), "100%");
    }

    #[test]
    fn times_of_day_are_taken_as_they_stand() {
        assert_eq!(time_of_day("2026-01-02T03:04:05.678Z"), "03:04:05");
        assert_eq!(time_of_day("ä"), "ä");
    }
}
