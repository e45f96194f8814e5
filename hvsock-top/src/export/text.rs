//! The Prometheus text format, version 0.0.4.

use std::fmt::Write as _;

use super::{
    buckets,
    family::{Family, Kind, Label, Value, seconds},
};

/// Its media type.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All families.
pub(super) fn encode(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        one(&mut text, family);
    }
    text
}

fn one(text: &mut String, family: &Family) {
    let name = family.series_name();
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Info => "gauge",
        Kind::Histogram => "histogram",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    // Writing to a String cannot fail.
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for sample in &family.samples {
        match &sample.value {
            Value::Whole(value) => line(text, &name, "", &sample.labels, None, value),
            Value::Real(value) => line(text, &name, "", &sample.labels, None, value),
            Value::Distribution(histogram) => {
                for (bound, count) in buckets::classic(histogram) {
                    line(text, &name, "_bucket", &sample.labels, Some(bound), count);
                }
                line(text, &name, "_sum", &sample.labels, None, seconds(histogram.sum_ns));
                line(text, &name, "_count", &sample.labels, None, buckets::total(histogram));
            }
        }
    }
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[Label],
    bound: Option<f64>,
    value: impl std::fmt::Display,
) {
    text.push_str(name);
    text.push_str(suffix);
    let mut before = '{';
    for (label, value) in labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{before}{label}=\"{value}\"");
        before = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(text, "{before}le=\"{}\"", le(bound));
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// A bound as OpenMetrics writes it, so that a series has the same labels in both.
pub(super) fn le(bound: f64) -> String {
    if bound.is_infinite() {
        "+Inf".to_owned()
    } else if bound.fract() == 0.0 {
        format!("{bound}.0")
    } else {
        bound.to_string()
    }
}
