//! OpenMetrics 1.0 text, by prometheus-client.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{
    buckets,
    family::{self, Family, Kind, PREFIX, Sample, Value, seconds},
};

/// Its media type.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All families, and the end mark.
pub(super) fn encode(families: Arc<[Family]>) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Families(families)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Families(Arc<[Family]>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.iter().filter(|f| !f.samples.is_empty()) {
            let unit = family.unit.map(|unit| match unit {
                family::Unit::Bytes => Unit::Bytes,
                family::Unit::Seconds => Unit::Seconds,
            });
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Info => MetricType::Info,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(&family.name, &family.help, unit.as_ref(), kind)?;
            for sample in &family.samples {
                one(&mut metric, family.kind, sample)?;
            }
        }
        Ok(())
    }
}

fn one(metric: &mut MetricEncoder<'_>, kind: Kind, sample: &Sample) -> fmt::Result {
    if kind == Kind::Info {
        return metric.encode_info(&sample.labels);
    }
    if sample.labels.is_empty() {
        return value(metric, kind, &sample.value);
    }
    value(&mut metric.encode_family(&sample.labels)?, kind, &sample.value)
}

fn value(metric: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (value, kind) {
        (Value::Whole(n), Kind::Counter) => metric.encode_counter::<NoLabelSet, _, f64>(n, None),
        (Value::Real(x), Kind::Counter) => metric.encode_counter::<NoLabelSet, _, f64>(x, None),
        (Value::Whole(n), _) => metric.encode_gauge(n),
        (Value::Real(x), _) => metric.encode_gauge(x),
        (Value::Distribution(histogram), _) => {
            let mut below = 0;
            let each: Vec<(f64, u64)> = buckets::classic(histogram)
                .into_iter()
                .map(|(bound, count)| (bound, count - std::mem::replace(&mut below, count)))
                .collect();
            let (sum, count) = (seconds(histogram.sum_ns), buckets::total(histogram));
            metric.encode_histogram::<NoLabelSet>(sum, count, &each, None)
        }
    }
}
