//! The metrics of one partition, looked up once.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::table::Table;

/// Handles of one partition's metrics.
pub struct Meters {
    /// Messages that are done, dead letters included.
    pub messages: Counter,
    /// Batches handed over, pieces of a batch included.
    pub batches: Counter,
    /// Messages handed over again because they failed.
    pub retries: Counter,
    /// Messages sent to the dead-letter topic.
    pub dead_letters: Counter,
    /// Partitions that another member took before this one let go.
    pub fenced: Counter,
    /// Messages that lie beyond what is done.
    pub lag: Gauge,
    /// How long a batch took, waiting for an instance included.
    pub seconds: Histogram,
}

impl Meters {
    /// The handles of a partition of a topic.
    pub fn of(table: &Table, topic: &str, partition: u32) -> Self {
        let labels = [
            ("plugin", table.plugin.to_string()),
            ("group", table.group.to_string()),
            ("topic", topic.to_owned()),
        ];
        let mut with_partition = labels.to_vec();
        with_partition.push(("partition", partition.to_string()));
        Self {
            messages: counter!("trellis_consumer_messages_total", &labels),
            batches: counter!("trellis_consumer_batches_total", &labels),
            retries: counter!("trellis_consumer_retries_total", &labels),
            dead_letters: counter!("trellis_dead_letters_total", &labels),
            fenced: counter!("trellis_consumer_fenced_total", &labels),
            lag: gauge!("trellis_consumer_lag", &with_partition),
            seconds: histogram!("trellis_consumer_batch_seconds", &labels),
        }
    }
}
