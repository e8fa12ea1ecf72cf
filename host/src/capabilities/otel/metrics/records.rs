//! The records of `metrics`.
#![allow(dead_code, reason = "the records have fields that no series has a place for")]

use wasmtime::component::{ComponentType, Lift};

use crate::capabilities::otel::types::{Datetime, KeyValue, Resource, Scope};

/// `resource-metrics`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct ResourceMetrics {
    pub resource: Resource,
    #[component(name = "scope-metrics")]
    pub scopes: Vec<ScopeMetrics>,
}

/// `scope-metrics`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct ScopeMetrics {
    pub scope: Scope,
    pub metrics: Vec<Metric>,
}

/// `metric`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Metric {
    pub name: String,
    pub description: String,
    pub unit: String,
    pub data: MetricData,
}

/// `metric-data`: the number type is told again by each value.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub enum MetricData {
    #[component(name = "f64-gauge")]
    F64Gauge(Gauge),
    #[component(name = "f64-sum")]
    F64Sum(Sum),
    #[component(name = "f64-histogram")]
    F64Histogram(Histogram),
    #[component(name = "f64-exponential-histogram")]
    F64Exponential(Exponential),
    #[component(name = "u64-gauge")]
    U64Gauge(Gauge),
    #[component(name = "u64-sum")]
    U64Sum(Sum),
    #[component(name = "u64-histogram")]
    U64Histogram(Histogram),
    #[component(name = "u64-exponential-histogram")]
    U64Exponential(Exponential),
    #[component(name = "s64-gauge")]
    S64Gauge(Gauge),
    #[component(name = "s64-sum")]
    S64Sum(Sum),
    #[component(name = "s64-histogram")]
    S64Histogram(Histogram),
    #[component(name = "s64-exponential-histogram")]
    S64Exponential(Exponential),
}

/// `metric-number`
#[derive(Clone, Copy, Debug, ComponentType, Lift)]
#[component(variant)]
pub enum Number {
    #[component(name = "f64")]
    F64(f64),
    #[component(name = "s64")]
    S64(i64),
    #[component(name = "u64")]
    U64(u64),
}

/// `temporality`
#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Temporality {
    #[component(name = "cumulative")]
    Cumulative,
    #[component(name = "delta")]
    Delta,
    #[component(name = "low-memory")]
    LowMemory,
}

/// `gauge`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Gauge {
    #[component(name = "data-points")]
    pub points: Vec<Point>,
    #[component(name = "start-time")]
    pub start: Option<Datetime>,
    pub time: Datetime,
}

/// `sum`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Sum {
    #[component(name = "data-points")]
    pub points: Vec<Point>,
    #[component(name = "start-time")]
    pub start: Datetime,
    pub time: Datetime,
    pub temporality: Temporality,
    #[component(name = "is-monotonic")]
    pub is_monotonic: bool,
}

/// `gauge-data-point` and `sum-data-point`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Point {
    pub attributes: Vec<KeyValue>,
    pub value: Number,
    pub exemplars: Vec<Exemplar>,
}

/// `histogram`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Histogram {
    #[component(name = "data-points")]
    pub points: Vec<HistogramPoint>,
    #[component(name = "start-time")]
    pub start: Datetime,
    pub time: Datetime,
    pub temporality: Temporality,
}

/// `histogram-data-point`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct HistogramPoint {
    pub attributes: Vec<KeyValue>,
    pub count: u64,
    pub bounds: Vec<f64>,
    #[component(name = "bucket-counts")]
    pub buckets: Vec<u64>,
    pub min: Option<Number>,
    pub max: Option<Number>,
    pub sum: Number,
    pub exemplars: Vec<Exemplar>,
}

/// `exponential-histogram`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Exponential {
    #[component(name = "data-points")]
    pub points: Vec<ExponentialPoint>,
    #[component(name = "start-time")]
    pub start: Datetime,
    pub time: Datetime,
    pub temporality: Temporality,
}

/// `exponential-histogram-data-point`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct ExponentialPoint {
    pub attributes: Vec<KeyValue>,
    pub count: u64,
    pub min: Option<Number>,
    pub max: Option<Number>,
    pub sum: Number,
    pub scale: i8,
    #[component(name = "zero-count")]
    pub zero_count: u64,
    #[component(name = "positive-bucket")]
    pub positive: Buckets,
    #[component(name = "negative-bucket")]
    pub negative: Buckets,
    #[component(name = "zero-threshold")]
    pub zero_threshold: f64,
    pub exemplars: Vec<Exemplar>,
}

/// `exponential-bucket`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Buckets {
    pub offset: i32,
    pub counts: Vec<u64>,
}

/// `exemplar`
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub struct Exemplar {
    #[component(name = "filtered-attributes")]
    pub attributes: Vec<KeyValue>,
    pub time: Datetime,
    pub value: Number,
    #[component(name = "span-id")]
    pub span_id: String,
    #[component(name = "trace-id")]
    pub trace_id: String,
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        match number {
            Number::F64(value) => value,
            Number::S64(value) => value as Self,
            Number::U64(value) => value as Self,
        }
    }
}
