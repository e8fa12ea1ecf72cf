#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusBuilder;

use super::{
    logs,
    metrics::{
        Report, Totals,
        records::{
            Gauge, Histogram, HistogramPoint, Metric, MetricData, Number, Point, Sum, Temporality,
        },
    },
    types::{Datetime, KeyValue, text},
};
use crate::capabilities::{logging::Level, metrics::Series};

const NOW: Datetime = Datetime { seconds: 1, nanoseconds: 0 };

/// What `/metrics` shows of the plugin's own after `tell`.
fn exposed(most: usize, tell: impl FnOnce(&Series)) -> Vec<String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        tell(&Series::new("p".into(), Arc::default(), most));
    });
    let mut lines: Vec<_> = handle.render().lines().map(str::to_owned).collect();
    lines.retain(|line| line.starts_with("plugin_"));
    lines.sort();
    lines
}

fn tell(series: &Series, totals: &mut Totals, name: &str, data: MetricData) {
    let metric =
        Metric { name: name.into(), description: String::new(), unit: String::new(), data };
    Report { series, totals }.metric(metric);
}

fn attributes() -> Vec<KeyValue> {
    vec![KeyValue { key: "http.method".into(), value: "\"GET\"".into() }]
}

fn point(value: Number) -> Point {
    Point { attributes: attributes(), value, exemplars: Vec::new() }
}

fn sum(value: Number, temporality: Temporality, is_monotonic: bool) -> Sum {
    Sum { points: vec![point(value)], start: NOW, time: NOW, temporality, is_monotonic }
}

#[test]
fn cumulative_sums_of_many_instances_add_up() {
    use Temporality::Cumulative;
    let lines = exposed(10, |series| {
        let (mut one, mut two) = (Totals::default(), Totals::default());
        for value in [3, 5] {
            let data = MetricData::U64Sum(sum(Number::U64(value), Cumulative, true));
            tell(series, &mut one, "http.requests", data);
        }
        let data = MetricData::U64Sum(sum(Number::U64(4), Cumulative, true));
        tell(series, &mut two, "http.requests", data);
        // An SDK that began anew.
        let data = MetricData::S64Sum(sum(Number::S64(1), Cumulative, true));
        tell(series, &mut one, "http.requests", data);
    });
    assert_eq!(lines, ["plugin_http_requests{plugin=\"p\",http_method=\"GET\"} 10"]);
}

#[test]
fn deltas_are_added_and_what_falls_is_a_gauge() {
    use Temporality::{Cumulative, Delta};
    let lines = exposed(10, |series| {
        let totals = &mut Totals::default();
        for _ in 0..2 {
            tell(series, totals, "a", MetricData::U64Sum(sum(Number::U64(2), Delta, true)));
        }
        for value in [5.0, 2.5] {
            let data = MetricData::F64Sum(sum(Number::F64(value), Cumulative, false));
            tell(series, totals, "b", data);
        }
        let gauge = Gauge { points: vec![point(Number::S64(-7))], start: None, time: NOW };
        tell(series, totals, "c", MetricData::S64Gauge(gauge));
    });
    let label = "{plugin=\"p\",http_method=\"GET\"}";
    let expected = [("a", "4"), ("b", "2.5"), ("c", "-7")];
    assert_eq!(lines, expected.map(|(name, value)| format!("plugin_{name}{label} {value}")));
}

#[test]
fn a_histogram_has_a_count_a_sum_and_a_series_for_each_bound() {
    let told = |count, buckets: [u64; 2], sum| HistogramPoint {
        attributes: Vec::new(),
        count,
        bounds: vec![0.5],
        buckets: buckets.to_vec(),
        min: None,
        max: None,
        sum: Number::F64(sum),
        exemplars: Vec::new(),
    };
    let lines = exposed(10, |series| {
        let totals = &mut Totals::default();
        for point in [told(1, [1, 0], 0.25), told(3, [2, 1], 2.5)] {
            let temporality = Temporality::Cumulative;
            let histogram = Histogram { points: vec![point], start: NOW, time: NOW, temporality };
            tell(series, totals, "wait", MetricData::F64Histogram(histogram));
        }
    });
    assert_eq!(
        lines,
        [
            "plugin_wait_bucket{plugin=\"p\",le=\"+Inf\"} 3",
            "plugin_wait_bucket{plugin=\"p\",le=\"0.5\"} 2",
            "plugin_wait_count{plugin=\"p\"} 3",
            "plugin_wait_sum{plugin=\"p\"} 2.5",
        ]
    );
}

#[test]
fn numbers_take_their_share_of_series_and_no_more() {
    let lines = exposed(2, |series| {
        for name in ["a", "b", "c"] {
            let data = MetricData::U64Sum(sum(Number::U64(1), Temporality::Delta, true));
            tell(series, &mut Totals::default(), name, data);
        }
        // No number at all.
        let data = MetricData::F64Sum(sum(Number::F64(f64::NAN), Temporality::Delta, false));
        tell(series, &mut Totals::default(), "a", data);
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_log_record_is_a_line_with_its_attributes_behind_it() {
    let line = logs::line(Some("\"it is late\"".into()), Some(attributes()));
    assert_eq!(line, "it is late http.method=\"GET\"");
    assert_eq!(logs::line(None, None), "");
    assert_eq!(logs::line(Some("{\"a\":1}".into()), None), "{\"a\":1}");
    for (severity, level) in [
        (None, Level::Info),
        (Some(1), Level::Trace),
        (Some(8), Level::Debug),
        (Some(9), Level::Info),
        (Some(13), Level::Warn),
        (Some(20), Level::Error),
        (Some(24), Level::Critical),
        (Some(200), Level::Info),
    ] {
        assert_eq!(logs::level(severity), level, "{severity:?}");
    }
}

#[test]
fn a_time_beyond_the_clock_is_no_panic() {
    let far = Datetime { seconds: u64::MAX, nanoseconds: u32::MAX };
    assert_eq!(std::time::SystemTime::from(far), std::time::SystemTime::UNIX_EPOCH);
}

#[test]
fn a_text_loses_its_quotes_and_nothing_else() {
    for (json, expected) in [("\"a \\\"b\\\"\"", "a \"b\""), ("7", "7"), ("\"open", "\"open")] {
        assert_eq!(text(json.into()), expected);
    }
}
