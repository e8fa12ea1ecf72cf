//! What the guest `bench-relay` does, straight on the log.

use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use trellis::backends::log::{Batch, Outgoing, Reader, embedded::Embedded, record::Record};

use super::reading;

/// What is kept of an event.
#[derive(Deserialize, Serialize)]
struct Kept<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    ts: u64,
    ip: &'a str,
}

/// Relay everything; the seconds it took.
pub async fn run(log: &Embedded) -> Result<f64> {
    reading::run(log, "relay-in", "native-relay", partition).await
}

/// Read the next batch while the one before commits.
async fn partition(mut reader: Box<dyn Reader>, end: u64) -> Result<()> {
    let topic: Arc<str> = "relay-out".into();
    let mut done = 0;
    let mut committing = None;
    while done < end {
        let batch = reader.next(reading::batches_of(1000)).await?;
        let outputs = outputs(&batch, &topic)?;
        if let Some(earlier) = committing.replace(reader.commit_with(outputs, batch.next)) {
            earlier.await?;
        }
        done = batch.next;
    }
    match committing {
        Some(last) => Ok(last.await?),
        None => Ok(()),
    }
}

fn outputs(batch: &Batch, topic: &Arc<str>) -> Result<Vec<Outgoing>> {
    batch.records().map(|record| relay(&record, topic)).collect()
}

fn relay(record: &Record<'_>, topic: &Arc<str>) -> Result<Outgoing> {
    let value = kept(record.tail.value().unwrap_or(b"null"))?;
    Ok(Outgoing::new(Arc::clone(topic), record.tail.key(), Some(&value), &[]))
}

/// What is kept of an event.
pub fn kept(event: &[u8]) -> Result<Vec<u8>> {
    let kept: Kept<'_> = serde_json::from_slice(event)?;
    Ok(serde_json::to_vec(&kept)?)
}
