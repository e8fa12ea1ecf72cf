#![allow(clippy::unwrap_used)]

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

/// What `/metrics` shows after `speak`, but for comments.
fn exposed(speak: impl FnOnce(&dyn Fn(&str) -> Arc<Series>)) -> Vec<String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let kinds = Arc::<Kinds>::default();
        speak(&|plugin| Arc::new(Series::new(plugin.into(), kinds.clone(), 3)));
    });
    let shown = handle.render();
    let mut lines: Vec<_> = shown
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines.retain(|line| line.starts_with("plugin_"));
    lines.sort();
    lines
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn count(series: &Series, name: &str, pairs: &[(&str, &str)]) -> bool {
    match series.handle(Kind::Counter, name, &labels(pairs)) {
        Some(Handle::Counter(counter)) => {
            counter.increment(2);
            true
        }
        Some(_) => panic!("a counter was asked for"),
        None => false,
    }
}

#[test]
fn a_series_carries_the_plugin_and_the_order_of_labels_does_not_matter() {
    let lines = exposed(|plugin| {
        let shop = plugin("shop");
        assert!(count(&shop, "sales_total", &[("b", "1"), ("a", "2")]));
        assert!(count(&shop, "sales_total", &[("a", "2"), ("b", "1")]));
        assert!(count(&plugin("bar"), "sales_total", &[]));
    });
    assert_eq!(
        lines,
        [
            "plugin_sales_total{plugin=\"bar\"} 2",
            "plugin_sales_total{plugin=\"shop\",a=\"2\",b=\"1\"} 4"
        ]
    );
}

#[test]
fn names_and_labels_that_are_not_allowed_are_refused() {
    let long = "x".repeat(300);
    exposed(|plugin| {
        let shop = plugin("shop");
        for name in ["", "1st", "a-b", "ä", "a b", "a{b}", &long] {
            assert!(!count(&shop, name, &[]), "{name}");
        }
        let many: Vec<String> = (0..=MAX_LABELS).map(|n| format!("l{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), "")).collect();
        let forged: [&[(&str, &str)]; 6] = [
            &[("plugin", "other")],
            &[("a", "1"), ("a", "2")],
            &[("__name__", "x")],
            &[("a-b", "1")],
            &[("a", &long)],
            &many,
        ];
        for pairs in forged {
            assert!(!count(&shop, "ok", pairs), "{pairs:?}");
        }
    });
}

#[test]
fn a_plugin_has_its_share_of_series_and_no_more() {
    let lines = exposed(|plugin| {
        let (shop, bar) = (plugin("shop"), plugin("bar"));
        let taken = ["1", "2", "3", "4"].map(|n| count(&shop, "visits", &[("n", n)]));
        assert_eq!(taken, [true, true, true, false]);
        assert!(count(&shop, "visits", &[("n", "1")]));
        assert!(count(&bar, "visits", &[]));
    });
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_name_keeps_its_kind_for_every_plugin() {
    exposed(|plugin| {
        let (shop, bar) = (plugin("shop"), plugin("bar"));
        assert!(count(&shop, "size", &[]));
        assert!(shop.handle(Kind::Gauge, "size", &[]).is_none());
        assert!(bar.handle(Kind::Histogram, "size", &[]).is_none());
        assert!(bar.handle(Kind::Gauge, "weight", &[]).is_some());
    });
}
