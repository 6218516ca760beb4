//! Samples by metric, and their text as Prometheus reads it (text format 0.0.4).
#![forbid(unsafe_code)]

use super::families::FAMILIES;
use super::families::Family;
use super::families::Kind;
use crate::facility::Distribution;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::NoLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;

/// How it is announced.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Microseconds of one second: times are measured in the former and told in the latter.
pub(super) const SECOND: f64 = 1e6;

#[derive(Debug)]
enum Value {
    Whole(u64),
    Real(f64),
    Distribution { sum: f64, buckets: Vec<(f64, u64)> },
}

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

/// What one scrape is answered.
#[derive(Debug)]
pub(super) struct Exposition(Vec<Vec<Sample>>);

impl Exposition {
    pub(super) fn new() -> Self {
        Self(FAMILIES.iter().map(|_| Vec::new()).collect())
    }

    /// A value; `labels` are the values of the metric's labels, in their order.
    pub(super) fn whole(&mut self, family: Family, labels: &[&str], value: u64) {
        self.add(family, labels, Value::Whole(value));
    }

    pub(super) fn real(&mut self, family: Family, labels: &[&str], value: f64) {
        self.add(family, labels, Value::Real(value));
    }

    pub(super) fn flag(&mut self, family: Family, labels: &[&str], value: bool) {
        self.whole(family, labels, u64::from(value));
    }

    /// A distribution; what was measured is divided by `unit`.
    pub(super) fn distribution(&mut self, family: Family, labels: &[&str], measured: &Distribution, unit: f64) {
        let bounds = measured.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        let buckets = bounds.zip(measured.counts.iter().copied()).collect();
        self.add(family, labels, Value::Distribution { sum: measured.sum as f64 / unit, buckets });
    }

    fn add(&mut self, family: Family, labels: &[&str], value: Value) {
        let names = family.description().labels;
        debug_assert_eq!(names.len(), labels.len(), "{family:?}");
        let labels = names.iter().copied().zip(labels.iter().map(|value| (*value).to_owned())).collect();
        self.0[family as usize].push(Sample { labels, value });
    }

    /// The text. Metrics without a sample are not in it.
    pub(super) fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collected(self)));
        let mut out = String::new();
        text::encode_registry(&mut out, &registry)?;
        Ok(out)
    }
}

/// What the library takes values from.
#[derive(Debug)]
struct Collected(Exposition);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let exposition = &self.0;
        for (description, samples) in FAMILIES.iter().zip(&exposition.0).filter(|(_, samples)| !samples.is_empty()) {
            let kind = match description.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(description.name, description.help, None, kind)?;
            for Sample { labels, value } in samples {
                // As a gauge: the library would append another `_total` to a counter's name, as OpenMetrics
                // has it; in this format the name is what HELP and TYPE say.
                match value {
                    Value::Whole(value) => metric.encode_family(labels)?.encode_gauge(value)?,
                    Value::Real(value) => metric.encode_family(labels)?.encode_gauge(value)?,
                    Value::Distribution { sum, buckets } => {
                        let count = buckets.iter().map(|(_, count)| count).sum();
                        metric.encode_family(labels)?.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                    }
                }
            }
        }
        Ok(())
    }
}
