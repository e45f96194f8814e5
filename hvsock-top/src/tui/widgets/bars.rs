//! Bars and curves of block characters.

const EIGHTHS_UP: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const EIGHTHS_RIGHT: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of `width` columns, filled by `share` (0 to 1). What is not nothing shows.
pub(crate) fn bar(share: f64, width: u16) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let mut eighths = (share * f64::from(width) * 8.0).round() as usize;
    if share > 0.0 {
        eighths = eighths.max(1);
    }
    let mut text = "█".repeat(eighths / 8);
    text.push_str(EIGHTHS_RIGHT[eighths % 8]);
    let used = eighths.div_ceil(8);
    text.extend(std::iter::repeat_n('·', usize::from(width).saturating_sub(used)));
    text
}

/// One column of a curve: `value` of `max`. Nothing is a low line, unknown is blank.
pub(crate) fn spark(value: Option<f64>, max: f64) -> &'static str {
    match value {
        None => " ",
        Some(v) if v <= 0.0 || max <= 0.0 => "▁",
        Some(v) => EIGHTHS_UP[((v / max * 8.0).ceil() as usize).clamp(1, 8)],
    }
}

/// A curve `width` columns wide, the newest at the right, scaled to `max`.
pub(crate) fn curve(values: impl ExactSizeIterator<Item = Option<f64>>, width: u16, max: f64) -> String {
    let width = usize::from(width);
    let skip = values.len().saturating_sub(width);
    let mut text = " ".repeat(width.saturating_sub(values.len()));
    values.skip(skip).for_each(|value| text.push_str(spark(value, max)));
    text
}

/// How dense: a shade for a share of the densest.
pub(crate) fn shade(share: f64) -> &'static str {
    match share {
        s if s <= 0.0 => "·",
        s if s <= 0.05 => "░",
        s if s <= 0.25 => "▒",
        s if s <= 0.6 => "▓",
        _ => "█",
    }
}

/// The height of one cell of a column chart: row `row` from the bottom of `rows`, for a share of the full height.
pub(crate) fn column(share: f64, row: u16, rows: u16) -> &'static str {
    let mut eighths = (share.clamp(0.0, 1.0) * f64::from(rows) * 8.0).round() as i64;
    if share > 0.0 {
        eighths = eighths.max(1);
    }
    EIGHTHS_UP[(eighths - i64::from(row) * 8).clamp(0, 8) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_what_there_is() {
        assert_eq!(bar(0.0, 4), "····");
        assert_eq!(bar(0.001, 4), "▏···");
        assert_eq!(bar(0.5, 4), "██··");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 4), "████");
        assert_eq!(bar(f64::NAN, 2), "··");
    }

    #[test]
    fn curves_keep_gaps_and_zeros_apart() {
        let values = [None, Some(0.0), Some(1.0), Some(8.0)];
        assert_eq!(curve(values.into_iter(), 6, 8.0), "   ▁▁█");
        assert_eq!(curve(values.into_iter(), 2, 8.0), "▁█");
    }

    #[test]
    fn columns_grow_from_the_bottom() {
        assert_eq!((column(1.0, 0, 2), column(1.0, 1, 2)), ("█", "█"));
        assert_eq!((column(0.5, 0, 2), column(0.5, 1, 2)), ("█", " "));
        assert_eq!(column(0.0001, 0, 2), "▁");
    }
}
