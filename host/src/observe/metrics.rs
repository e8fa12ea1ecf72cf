//! The numbers of all rooms, and the list of those that the host itself has.
//!
//! A room writes a number through the `metrics` crate under a name of [`NAMES`]; a test looks
//! for names that are missing there.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::process;

/// What a number means over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, in seconds.
    Seconds,
}

use Kind::{Counter, Gauge, Seconds};

/// Every metric of the host: name, kind, and meaning with its labels. Those of plugins start
/// with `plugin_`.
pub const NAMES: &[(&str, Kind, &str)] = &[
    (
        "trellis_http_requests_total",
        Counter,
        "HTTP requests answered, by plugin and class of status.",
    ),
    (
        "trellis_http_request_seconds",
        Seconds,
        "From the head of a request to the head of its answer, by plugin.",
    ),
    (
        "trellis_consumer_messages_total",
        Counter,
        "Messages that are done, dead letters included, by plugin, group and topic.",
    ),
    (
        "trellis_consumer_batches_total",
        Counter,
        "Batches handed over, pieces of a batch included, by plugin, group and topic.",
    ),
    (
        "trellis_consumer_batch_seconds",
        Seconds,
        "Time a batch took, the wait for an instance included, by plugin, group and topic.",
    ),
    (
        "trellis_consumer_lag",
        Gauge,
        "Messages that lie beyond what is done, by plugin, group, topic and partition.",
    ),
    (
        "trellis_consumer_retries_total",
        Counter,
        "Messages handed over again because they failed, by plugin, group and topic.",
    ),
    (
        "trellis_consumer_fenced_total",
        Counter,
        "Partitions that another member took first, by plugin, group and topic.",
    ),
    (
        "trellis_dead_letters_total",
        Counter,
        "Messages sent to a dead-letter topic, by plugin, group and topic.",
    ),
    (
        "trellis_plugin_generation",
        Gauge,
        "The number of the live generation, by plugin; 0 where none is.",
    ),
    ("trellis_plugin_state", Gauge, "1 for the state a plugin is in, by plugin and state."),
    (
        "trellis_plugin_reverts_total",
        Counter,
        "Versions that the host took back by itself, by plugin.",
    ),
    (
        "trellis_plugin_weight",
        Gauge,
        "The part of the requests that a generation gets, from 0 to 1, by plugin and generation.",
    ),
    ("trellis_plugin_calls_total", Counter, "Calls that were begun, by plugin and generation."),
    (
        "trellis_plugin_errors_total",
        Counter,
        "Calls that failed: without an answer, or with an error of the server; by plugin and generation.",
    ),
    (
        "trellis_plugin_instances",
        Gauge,
        "Instances, by plugin, generation and state: idle or lent.",
    ),
    (
        "trellis_plugin_memory_bytes",
        Gauge,
        "Linear memory of the instances, by plugin and generation.",
    ),
    (
        "trellis_call_errors_total",
        Counter,
        "Calls that gave no answer, by plugin, generation and kind.",
    ),
    (
        "trellis_process_cpu_milliseconds_total",
        Counter,
        "Time that the cores have spent on the process.",
    ),
    ("trellis_process_resident_bytes", Gauge, "Memory that the process has of the machine's."),
    (
        "trellis_process_started_seconds",
        Gauge,
        "When the process started, in seconds since the beginning of 1970.",
    ),
    (
        "trellis_trace_exports_failed_total",
        Counter,
        "Times that spans did not arrive at the collector and were lost.",
    ),
    ("trellis_log_lines_dropped_total", Counter, "Log lines beyond a plugin's rate, by plugin."),
    (
        "trellis_spans_dropped_total",
        Counter,
        "Spans that a plugin told of beyond its rate, or without a place in a trace, by plugin.",
    ),
    (
        "trellis_metric_values_dropped_total",
        Counter,
        "Values of metrics that are not allowed or too many, by plugin.",
    ),
    ("trellis_cache_hits_total", Counter, "Looks into the cache that found a value, by plugin."),
    ("trellis_cache_misses_total", Counter, "Looks into the cache that found none, by plugin."),
    (
        "trellis_cache_evictions_total",
        Counter,
        "Values that went to make room, by plugin; embedded only.",
    ),
    ("trellis_cache_errors_total", Counter, "Calls that the cache could not answer, by plugin."),
    ("trellis_cache_up", Gauge, "1 while Redis answers, 0 while it does not; Redis only."),
    ("trellis_connections", Gauge, "Connections that are open, by plugin and transport."),
    ("trellis_connections_ended_total", Counter, "Connections that ended, by plugin and why."),
    (
        "trellis_connection_events_total",
        Counter,
        "Messages and ends of connections that were handed over, by plugin.",
    ),
    (
        "trellis_socket_bytes_total",
        Counter,
        "Bytes over the ports of plugins, by plugin, listener and direction.",
    ),
    (
        "trellis_sockets_refused_total",
        Counter,
        "Clients that were turned away at the ports of plugins, by plugin, listener and why.",
    ),
    ("trellis_schedule_runs_total", Counter, "Runs of schedules, by plugin, schedule and outcome."),
    ("trellis_channels", Gauge, "Channels that are kept, by plugin."),
    ("trellis_channel_memory_bytes", Gauge, "Frames of channels with their encodings, by plugin."),
    (
        "trellis_channel_frames_lost_total",
        Counter,
        "Frames that slow connections missed, summed over the connections, by plugin.",
    ),
    (
        "trellis_channel_kicked_total",
        Counter,
        "Connections that were too slow for their channel, by plugin.",
    ),
    (
        "trellis_channel_topic_entries_total",
        Counter,
        "What was read of the topic through which hosts share channels.",
    ),
    (
        "trellis_channel_topic_lag_records",
        Gauge,
        "What this host has yet to read of that topic, by partition.",
    ),
    (
        "trellis_channel_topic_delay_seconds",
        Gauge,
        "How long the last beat took to come back through that topic.",
    ),
    (
        "trellis_channel_topic_waiting_bytes",
        Gauge,
        "What waits for that topic, or is on its way there.",
    ),
    (
        "trellis_channel_topic_failures_total",
        Counter,
        "Writes to that topic that failed and were tried again, and what was left out.",
    ),
    (
        "trellis_channel_topic_doubles_total",
        Counter,
        "What stood in that topic twice after a write that failed, and was taken once.",
    ),
    (
        "trellis_functions_reused_total",
        Counter,
        "Functions of large components that were compiled before, for the version they came with.",
    ),
    (
        "trellis_functions_compiled_total",
        Counter,
        "Functions of large components that had to be compiled.",
    ),
    ("trellis_channel_nodes", Gauge, "Hosts that share their channels, this one included."),
    (
        "trellis_blobs_bytes",
        Gauge,
        "What the blobs of a plugin count against its bound, by plugin.",
    ),
    ("trellis_blobs_read_bytes_total", Counter, "Bytes of blobs that were read, by plugin."),
    ("trellis_blobs_written_bytes_total", Counter, "Bytes of blobs that were written, by plugin."),
    (
        "trellis_blobs_errors_total",
        Counter,
        "Calls that failed because blobs could not be read or written, by plugin.",
    ),
    ("trellis_kafka_queue_records", Gauge, "Records on their way to the cluster, by client."),
    (
        "trellis_kafka_queue_bytes",
        Gauge,
        "Bytes of records on their way to the cluster, by client.",
    ),
    ("trellis_kafka_sent_records_total", Counter, "Records sent to the cluster, by client."),
    ("trellis_kafka_sent_bytes_total", Counter, "Bytes of records sent to the cluster, by client."),
    (
        "trellis_kafka_received_records_total",
        Counter,
        "Records fetched from the cluster, by client.",
    ),
    (
        "trellis_kafka_received_bytes_total",
        Counter,
        "Bytes of records fetched from the cluster, by client.",
    ),
    ("trellis_kafka_brokers_up", Gauge, "Brokers that a client is connected to, by client."),
    (
        "trellis_kafka_broker_errors_total",
        Counter,
        "Requests that failed or were late, by client and broker.",
    ),
    (
        "trellis_kafka_broker_rtt_seconds",
        Gauge,
        "Mean time from a request to its answer, by client and broker.",
    ),
    (
        "trellis_kafka_broker_rtt_p99_seconds",
        Gauge,
        "The 99th percentile of that time, by client and broker.",
    ),
];

/// The bounds of distributions of times: from a tenth of a millisecond to half a minute.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
];
/// The bounds of all other distributions: powers of four.
const OTHERS: &[f64] = &[
    1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
    16777216.0,
];
/// How often observations are sorted into their distributions; they wait in memory until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// All numbers of the process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Take the metrics of this process; `None` when somebody has.
    pub(super) fn install() -> Option<Self> {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        describe();
        process::started();
        Some(Self(handle))
    }

    /// All of them in the text format of Prometheus, and those that `write` writes: these are
    /// there for this once, so that what is gone leaves nothing behind. No name may be in both.
    pub fn render(&self, write: impl FnOnce()) -> String {
        process::write();
        let once = builder().build_recorder();
        metrics::with_local_recorder(&once, || {
            describe();
            write();
        });
        self.0.render() + &once.handle().render()
    }

    /// Keep distributions small until dropped; the caller spawns and aborts it.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}

fn builder() -> PrometheusBuilder {
    let seconds = Matcher::Suffix("_seconds".into());
    // The only error of either is an empty list.
    let with_bounds = PrometheusBuilder::new()
        .set_buckets(OTHERS)
        .and_then(|builder| builder.set_buckets_for_metric(seconds, SECONDS));
    with_bounds.unwrap_or_default()
}

fn describe() {
    for (name, kind, meaning) in NAMES {
        match kind {
            Counter => metrics::describe_counter!(*name, *meaning),
            Gauge => metrics::describe_gauge!(*name, *meaning),
            Seconds => metrics::describe_histogram!(*name, metrics::Unit::Seconds, *meaning),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Every name in quotes that starts like one of the host's.
    fn written(folder: &Path, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // The command line writes none, and its languages have names of their own.
                if !path.ends_with("src/cli") {
                    written(&path, names);
                }
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let quoted = text.split('"').filter(|part| part.starts_with("trellis_"));
                // Not the prefix itself, above.
                let quoted = quoted.filter(|part| !part.ends_with('_'));
                let word = |part: &&str| {
                    part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
                };
                names.extend(quoted.filter(word).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_metric_that_a_room_writes_is_on_the_list() {
        let mut names = BTreeSet::new();
        written(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let missing = |name: &&String| !NAMES.iter().any(|(known, ..)| known == name);
        assert!(names.len() >= NAMES.len());
        assert_eq!(names.iter().filter(missing).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn what_is_written_for_once_is_not_there_the_next_time() {
        let metrics = Metrics(builder().build_recorder().handle());
        let number = || metrics::gauge!("trellis_plugin_weight", "plugin" => "p").set(1.0);
        let shown = metrics.render(number);
        assert!(shown.ends_with("trellis_plugin_weight{plugin=\"p\"} 1\n\n"), "{shown}");
        assert_eq!(metrics.render(|| ()), "");
    }

    #[test]
    fn numbers_are_shown_with_their_meaning_and_times_as_distributions() {
        let recorder = builder().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!("trellis_call_errors_total", "plugin" => "p", "kind" => "trap")
                .increment(2);
            metrics::histogram!("trellis_http_request_seconds", "plugin" => "p").record(0.003);
        });
        let shown = recorder.handle().render();
        for line in [
            "# HELP trellis_call_errors_total Calls that gave no answer, by plugin, generation and kind.",
            "trellis_call_errors_total{plugin=\"p\",kind=\"trap\"} 2",
            "# TYPE trellis_http_request_seconds histogram",
            "trellis_http_request_seconds_bucket{plugin=\"p\",le=\"0.0025\"} 0",
            "trellis_http_request_seconds_bucket{plugin=\"p\",le=\"0.005\"} 1",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
    }
}
