//! What the plugin `counters` does, straight on a consumer and on a database of its own.

use std::{path::Path, sync::Arc};

use ::counters::Counts;
use anyhow::Result;
use rdkafka::Message;
use tokio::runtime::Handle;
use trellis::backends::sql::Database;

use super::{
    super::counters::{TOPIC, database, store},
    reading::{self, Reader},
};

/// Messages a transaction, as the plugin's manifest has it.
const MESSAGES: usize = 4000;

/// Count everything; the seconds it took.
pub async fn run(broker: &str, data: &Path) -> Result<f64> {
    let (broker, database) = (broker.to_owned(), database(data).await?);
    let runtime = Handle::current();
    let reading = move || {
        let count = |reader: Reader| partition(&reader, &database, &runtime);
        reading::run(&broker, TOPIC, "native-counters", count)
    };
    tokio::task::spawn_blocking(reading).await?
}

fn partition(reader: &Reader, database: &Arc<dyn Database>, runtime: &Handle) -> Result<()> {
    let mut done = 0;
    while done < reader.end {
        let (mut messages, mut next) = (Vec::with_capacity(MESSAGES), done);
        while messages.len() < MESSAGES && next < reader.end {
            let Some(message) = reader.next()? else { continue };
            next = u64::try_from(message.offset())? + 1;
            messages.push(message);
        }
        let mut counts = Counts::default();
        for message in &messages {
            let time = message.timestamp().to_millis().unwrap_or_default();
            counts.add(message.payload().unwrap_or_default(), time)?;
        }
        let partition = u32::try_from(reader.partition)?;
        runtime.block_on(store(&**database, &counts, partition, done..next))?;
        done = next;
    }
    Ok(())
}
