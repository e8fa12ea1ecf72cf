//! The gauges of plugins. They are written when somebody wants to read them, so that a plugin that
//! nobody calls costs nothing in between.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use metrics::gauge;

use super::status::{State, Status};

const STATES: [State; 4] = [State::Loading, State::Live, State::Failed, State::Draining];

/// Writes the gauges, and knows whose it has written.
#[derive(Default)]
pub(super) struct Meters {
    known: Mutex<BTreeSet<String>>,
}

/// What is shown of a name. Two files may claim the same one: then one of them has failed.
#[derive(Default)]
struct Shown {
    states: Vec<State>,
    generation: u64,
    idle: u32,
    lent: u32,
    memory: u64,
}

impl Meters {
    /// Write what the plugins are like now; those of plugins that are gone fall to 0.
    pub(super) fn write(&self, statuses: &[Status]) {
        let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
        for status in statuses {
            shown.entry(status.name.clone()).or_default().add(status);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in known.iter().filter(|name| !shown.contains_key(*name)) {
            Shown::default().write(gone);
        }
        for (name, shown) in &shown {
            shown.write(name);
        }
        *known = shown.into_keys().collect();
    }
}

impl Shown {
    fn add(&mut self, status: &Status) {
        self.states.push(status.state);
        self.generation = self.generation.max(status.generation.unwrap_or(0));
        self.idle += status.instances.saturating_sub(status.lent);
        self.lent += status.lent;
        self.memory += status.memory;
    }

    fn write(&self, plugin: &str) {
        let plugin = || plugin.to_owned();
        gauge!("trellis_plugin_generation", "plugin" => plugin()).set(self.generation as f64);
        for state in STATES {
            let is = f64::from(u8::from(self.states.contains(&state)));
            gauge!("trellis_plugin_state", "plugin" => plugin(), "state" => state.as_str()).set(is);
        }
        for (state, count) in [("idle", self.idle), ("lent", self.lent)] {
            gauge!("trellis_plugin_instances", "plugin" => plugin(), "state" => state).set(count);
        }
        gauge!("trellis_plugin_memory_bytes", "plugin" => plugin()).set(self.memory as f64);
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    fn status(name: &str, state: State, generation: Option<u64>) -> Status {
        let status = Status::new(name.into(), state, 0);
        Status { generation, instances: 3, lent: 1, memory: 65536, ..status }
    }

    #[test]
    fn a_plugin_has_its_numbers_until_it_is_gone() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let (handle, meters) = (recorder.handle(), Meters::default());
        let shown = |statuses: &[Status]| {
            metrics::with_local_recorder(&recorder, || meters.write(statuses));
            handle.render()
        };
        let has =
            |text: &str, line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");

        let text =
            shown(&[status("shop", State::Live, Some(2)), status("shop", State::Failed, None)]);
        has(&text, "trellis_plugin_generation{plugin=\"shop\"} 2");
        has(&text, "trellis_plugin_state{plugin=\"shop\",state=\"live\"} 1");
        has(&text, "trellis_plugin_state{plugin=\"shop\",state=\"failed\"} 1");
        has(&text, "trellis_plugin_state{plugin=\"shop\",state=\"loading\"} 0");
        has(&text, "trellis_plugin_instances{plugin=\"shop\",state=\"idle\"} 4");
        has(&text, "trellis_plugin_instances{plugin=\"shop\",state=\"lent\"} 2");
        has(&text, "trellis_plugin_memory_bytes{plugin=\"shop\"} 131072");

        let text = shown(&[]);
        let mut left = text.lines().filter(|line| line.contains("shop"));
        assert!(left.all(|line| line.ends_with(" 0")), "{text}");
    }
}
