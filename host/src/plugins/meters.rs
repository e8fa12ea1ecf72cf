//! The numbers of plugins and their generations. They are written when somebody reads them, and
//! into nothing that lasts: what is gone has no numbers, and a plugin that nobody calls costs
//! nothing in between.

use std::collections::BTreeMap;

use metrics::{counter, gauge};

use super::{
    Generation,
    generation::Counts,
    status::{State, Status},
};

const STATES: [State; 4] = [State::Loading, State::Live, State::Failed, State::Draining];

/// Write what the plugins are like now. Two files may claim the same name: then one has failed.
pub(super) fn write_plugins(statuses: &[Status]) {
    let mut by_name: BTreeMap<&str, Vec<&Status>> = BTreeMap::new();
    for status in statuses {
        by_name.entry(&status.name).or_default().push(status);
    }
    for (plugin, statuses) in by_name {
        let plugin = || plugin.to_owned();
        let live = statuses.iter().filter_map(|status| status.generation).max();
        gauge!("trellis_plugin_generation", "plugin" => plugin()).set(live.unwrap_or(0) as f64);
        let reverts = statuses.iter().map(|status| status.reverts).sum();
        counter!("trellis_plugin_reverts_total", "plugin" => plugin()).absolute(reverts);
        for state in STATES {
            let is = f64::from(u8::from(statuses.iter().any(|status| status.state == state)));
            gauge!("trellis_plugin_state", "plugin" => plugin(), "state" => state.as_str()).set(is);
        }
    }
}

/// Write what one generation is like now, and how its calls ended.
pub(super) fn write_generation(generation: &Generation, weight: f64) {
    let labels =
        [("plugin", generation.plugin.to_string()), ("generation", generation.number.to_string())];
    let with = |name, value: &'static str| {
        let [plugin, number] = labels.clone();
        [plugin, number, (name, value.to_owned())]
    };
    let Counts { calls, errors, .. } = generation.counts();
    counter!("trellis_plugin_calls_total", &labels).absolute(calls);
    counter!("trellis_plugin_errors_total", &labels).absolute(errors);
    gauge!("trellis_plugin_weight", &labels).set(weight);
    let awake = generation.awake();
    let (idle, lent, memory) = awake.map_or((0, 0, 0), |instances| {
        (instances.idle_count(), instances.lent(), instances.memory())
    });
    gauge!("trellis_plugin_instances", &with("state", "idle")).set(idle as f64);
    gauge!("trellis_plugin_instances", &with("state", "lent")).set(f64::from(lent));
    gauge!("trellis_plugin_memory_bytes", &labels).set(memory as f64);
    for (kind, count) in generation.unanswered().filter(|(_, count)| *count > 0) {
        counter!("trellis_call_errors_total", &with("kind", kind)).absolute(count);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_plugin_of_two_files_has_the_numbers_of_both() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let status = |state, generation, reverts| Status {
            generation,
            reverts,
            ..Status::new("shop".into(), state, 0)
        };
        let both = [status(State::Live, Some(2), 3), status(State::Failed, None, 0)];
        metrics::with_local_recorder(&recorder, || write_plugins(&both));
        let text = recorder.handle().render();
        for line in [
            "trellis_plugin_generation{plugin=\"shop\"} 2",
            "trellis_plugin_reverts_total{plugin=\"shop\"} 3",
            "trellis_plugin_state{plugin=\"shop\",state=\"live\"} 1",
            "trellis_plugin_state{plugin=\"shop\",state=\"failed\"} 1",
            "trellis_plugin_state{plugin=\"shop\",state=\"loading\"} 0",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
