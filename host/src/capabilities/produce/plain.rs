//! `trellis:kafka/producer`: records in, one result a record out.

use wasmtime::component::{ComponentType, Lift, Linker};

use super::{
    MAX_BYTES, MAX_RECORDS, State,
    host::{self, SendError},
};
use crate::backends::log::Outgoing;

/// The interface.
pub const INTERFACE: &str = "trellis:kafka/producer@0.1.0";

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct RecordToSend {
    topic: String,
    partition: Option<u32>,
    #[component(name = "timestamp-ms")]
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl RecordToSend {
    fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + length(value));
        length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    fn into_outgoing(self, producer: &mut super::Instance) -> Result<Outgoing, SendError> {
        let topic = producer.topic(&self.topic).ok_or(SendError::NotGranted(self.topic))?;
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let record = Outgoing::new(topic, self.key.as_deref(), self.value.as_deref(), &headers);
        Ok(Outgoing { partition: self.partition, timestamp_ms: self.timestamp_ms, ..record })
    }
}

/// Add `send`.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap_async(
        "send",
        |mut store, (records,): (Vec<RecordToSend>,)| {
            Box::new(async move {
                let size: usize = records.iter().map(RecordToSend::size).sum();
                if records.len() > MAX_RECORDS || size > MAX_BYTES {
                    let refused = Err(SendError::TooLarge(MAX_BYTES as u64));
                    return Ok((vec![refused; records.len()],));
                }
                let producer = host::producer(&mut store)?;
                let records =
                    records.into_iter().map(|record| record.into_outgoing(producer)).collect();
                Ok((host::send(store, records).await?,))
            })
        },
    )
}
