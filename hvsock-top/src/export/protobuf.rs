//! The Prometheus protobuf format: the only one in which its server takes native histograms.
//!
//! The messages are those of `io.prometheus.client` (`metrics.proto` of github.com/prometheus/client_model) with the fields that are used.

use prost::{Enumeration, Message};

use super::{
    buckets::{self, Native},
    family::{Family, Kind, Sample, Value, seconds},
};

/// Its media type.
pub(super) const MEDIA_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

/// Counter and Gauge look alike.
#[derive(Clone, Copy, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

/// All families, each after its length.
pub(super) fn encode(families: &[Family]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        bytes.append(&mut message(family).encode_length_delimited_to_vec());
    }
    bytes
}

fn message(family: &Family) -> MetricFamily {
    let kind = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge | Kind::Info => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    MetricFamily {
        name: Some(family.series_name()),
        help: Some(family.help.clone().into_owned()),
        kind: Some(kind.into()),
        metric: family.samples.iter().map(|sample| metric(kind, sample)).collect(),
        unit: family.unit.map(|unit| unit.name().to_owned()),
    }
}

fn metric(kind: MetricType, sample: &Sample) -> Metric {
    let label = |(name, value): &(&str, std::borrow::Cow<'_, str>)| LabelPair {
        name: Some((*name).to_owned()),
        value: Some(value.clone().into_owned()),
    };
    let mut metric = Metric { label: sample.labels.iter().map(label).collect(), ..Metric::default() };
    let number = match &sample.value {
        Value::Whole(n) => *n as f64,
        Value::Real(x) => *x,
        Value::Distribution(histogram) => {
            metric.histogram = Some(distribution(histogram));
            return metric;
        }
    };
    let number = Some(Number { value: Some(number) });
    if kind == MetricType::Counter {
        metric.counter = number;
    } else {
        metric.gauge = number;
    }
    metric
}

fn distribution(histogram: &crate::model::Histogram) -> Histogram {
    let Native { zero, spans, deltas } = buckets::native(histogram);
    let bucket =
        |(bound, count): (f64, u64)| Bucket { cumulative_count: Some(count), upper_bound: Some(bound) };
    let span = |(offset, length): (i32, u32)| BucketSpan { offset: Some(offset), length: Some(length) };
    Histogram {
        sample_count: Some(buckets::total(histogram)),
        sample_sum: Some(seconds(histogram.sum_ns)),
        // The infinite one goes without saying here.
        bucket: buckets::classic(histogram).into_iter().filter(|b| b.0.is_finite()).map(bucket).collect(),
        schema: Some(buckets::SCHEMA),
        zero_threshold: Some(buckets::ZERO_THRESHOLD),
        zero_count: Some(zero),
        positive_span: spans.into_iter().map(span).collect(),
        positive_delta: deltas,
    }
}

/// Series as the text formats name them, without native buckets and the infinite bound.
#[cfg(test)]
pub(super) fn decode(mut bytes: &[u8]) -> Vec<(String, f64)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut bytes).unwrap();
        let name = family.name.clone().unwrap();
        for metric in family.metric {
            let pairs: Vec<String> =
                metric.label.iter().map(|l| format!("{}=\"{}\"", l.name(), l.value())).collect();
            let series = |suffix: &str, more: Option<String>| {
                let labels: Vec<String> = pairs.iter().cloned().chain(more).collect();
                let labels =
                    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                format!("{name}{suffix}{labels}")
            };
            if let Some(number) = metric.counter.or(metric.gauge) {
                all.push((series("", None), number.value()));
            }
            if let Some(histogram) = metric.histogram {
                for bucket in &histogram.bucket {
                    let le = format!("le=\"{}\"", super::text::le(bucket.upper_bound()));
                    all.push((series("_bucket", Some(le)), bucket.cumulative_count() as f64));
                }
                all.push((series("_sum", None), histogram.sample_sum()));
                all.push((series("_count", None), histogram.sample_count() as f64));
                // Both histograms are of the same values.
                let mut count = 0;
                let native: i64 = histogram
                    .positive_delta
                    .iter()
                    .map(|delta| {
                        count += delta;
                        count
                    })
                    .sum();
                assert_eq!(native as u64 + histogram.zero_count(), histogram.sample_count(), "{name}");
            }
        }
    }
    all
}
