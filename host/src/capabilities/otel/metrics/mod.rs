//! `metrics`: what an SDK in the guest has added up becomes series of the plugin.
//!
//! A component has many instances, each with an SDK of its own that counts from 0. So of a
//! cumulative sum only what came since its instance last told is added. A histogram becomes
//! `NAME_count`, `NAME_sum` and, for each bound, `NAME_bucket` with the label `le`, as Prometheus
//! has them; of an exponential one there are count and sum.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use wasmtime::{StoreContextMut, component::LinkerInstance};

use super::{
    State,
    types::{KeyValue, text},
};
use crate::capabilities::metrics::{Handle, Kind, Series};

pub mod records;

use records::{HistogramPoint, Metric, MetricData, Number, ResourceMetrics, Sum, Temporality};

/// Add the interface.
pub fn link(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.func_wrap(
        "export",
        |mut store: StoreContextMut<'_, State>, (told,): (ResourceMetrics,)| {
            let own = &mut store.data_mut().own;
            if let (Some(otel), Some(metrics)) = (&mut own.otel, &own.metrics) {
                let mut report = Report { series: metrics.series(), totals: &mut otel.totals };
                for metric in told.scopes.into_iter().flat_map(|scope| scope.metrics) {
                    report.metric(metric);
                }
            }
            Ok((Ok::<_, String>(()),))
        },
    )
}

/// How far each cumulative sum of a store was when it last told. There are no more than the plugin
/// has series.
#[derive(Default)]
pub struct Totals {
    known: HashMap<u64, f64>,
    hasher: RandomState,
}

impl Totals {
    /// Note how far a sum is; how far it was.
    fn replace(&mut self, series: (&str, &[Label]), total: f64) -> f64 {
        self.known.insert(self.hasher.hash_one(series), total).unwrap_or(0.0)
    }
}

type Label = (String, String);

/// Takes the numbers of one export.
pub(super) struct Report<'a> {
    pub(super) series: &'a Series,
    pub(super) totals: &'a mut Totals,
}

impl Report<'_> {
    /// Take one metric.
    pub(super) fn metric(&mut self, metric: Metric) {
        use MetricData as Data;
        let name = name(&metric.name);
        match metric.data {
            Data::F64Gauge(gauge) | Data::U64Gauge(gauge) | Data::S64Gauge(gauge) => {
                for point in gauge.points {
                    self.set(&name, &labels(point.attributes), point.value.into());
                }
            }
            // A counter has whole numbers.
            Data::U64Sum(sum) | Data::S64Sum(sum) => self.sum(&name, sum, true),
            Data::F64Sum(sum) => self.sum(&name, sum, false),
            Data::F64Histogram(told) | Data::U64Histogram(told) | Data::S64Histogram(told) => {
                for point in told.points {
                    self.histogram(&name, point, told.temporality);
                }
            }
            Data::F64Exponential(told)
            | Data::U64Exponential(told)
            | Data::S64Exponential(told) => {
                for point in told.points {
                    let labels = labels(point.attributes);
                    self.whole(&name, &labels, point.count, point.sum, told.temporality);
                }
            }
        }
    }

    fn sum(&mut self, name: &str, sum: Sum, whole: bool) {
        for point in sum.points {
            let (labels, value) = (labels(point.attributes), point.value.into());
            if whole && sum.is_monotonic {
                self.count(name, &labels, value, sum.temporality);
            } else {
                self.add(name, &labels, value, sum.temporality);
            }
        }
    }

    fn histogram(&mut self, name: &str, point: HistogramPoint, temporality: Temporality) {
        let mut labels = labels(point.attributes);
        self.whole(name, &labels, point.count, point.sum, temporality);
        let bounds = point.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let (name, mut below) = (format!("{name}_bucket"), 0_u64);
        for (bound, count) in bounds.zip(point.buckets) {
            below = below.saturating_add(count);
            labels.push(("le".to_owned(), bound));
            self.count(&name, &labels, below as f64, temporality);
            labels.pop();
        }
    }

    /// Count and sum of a histogram.
    fn whole(
        &mut self,
        name: &str,
        labels: &[Label],
        count: u64,
        sum: Number,
        temporality: Temporality,
    ) {
        self.count(&format!("{name}_count"), labels, count as f64, temporality);
        self.add(&format!("{name}_sum"), labels, sum.into(), temporality);
    }

    fn set(&mut self, name: &str, labels: &[Label], value: f64) {
        match self.series.handle(Kind::Gauge, name, labels) {
            Some(Handle::Gauge(gauge)) => gauge.set(value),
            _ => self.series.drop_one(),
        }
    }

    /// Add whole numbers that only grow.
    fn count(&mut self, name: &str, labels: &[Label], value: f64, temporality: Temporality) {
        let Some(Handle::Counter(counter)) = self.series.handle(Kind::Counter, name, labels) else {
            return self.series.drop_one();
        };
        let before = self.before(name, labels, value, temporality);
        // A sum that has shrunk began anew; what is below 0 or no number counts as nothing.
        let grown = if before > value { value } else { value - before };
        counter.increment(grown as u64);
    }

    /// Add any numbers, fractions and what falls included: a gauge that is moved.
    fn add(&mut self, name: &str, labels: &[Label], value: f64, temporality: Temporality) {
        let Some(Handle::Gauge(gauge)) = self.series.handle(Kind::Gauge, name, labels) else {
            return self.series.drop_one();
        };
        if !value.is_finite() {
            return self.series.drop_one();
        }
        gauge.increment(value - self.before(name, labels, value, temporality));
    }

    /// What of a sum was told before.
    fn before(
        &mut self,
        name: &str,
        labels: &[Label],
        value: f64,
        temporality: Temporality,
    ) -> f64 {
        match temporality {
            Temporality::Cumulative => self.totals.replace((name, labels), value),
            Temporality::Delta | Temporality::LowMemory => 0.0,
        }
    }
}

/// A name as Prometheus takes it.
fn name(told: &str) -> String {
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    told.chars().map(|letter| if word(letter) { letter } else { '_' }).collect()
}

fn labels(attributes: Vec<KeyValue>) -> Vec<Label> {
    attributes.into_iter().map(|KeyValue { key, value }| (name(&key), text(value))).collect()
}
