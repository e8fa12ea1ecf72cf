//! `trellis:kafka/producer`: records in, one result a record out.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker},
};

use super::{
    MAX_BYTES, MAX_RECORDS, State,
    host::{self, Answers, SendError, Until},
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

/// Add `send` and `send-ahead`.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap_async("send", |store, (records,): (Vec<RecordToSend>,)| {
        Box::new(async move { Ok((send(store, records, Until::Durable).await?,)) })
    })?;
    interface.func_wrap_async("send-ahead", |store, (records,): (Vec<RecordToSend>,)| {
        Box::new(async move {
            let answers = send(store, records, Until::Ahead).await?;
            let refused = answers.into_iter().map(|answer| answer.map(drop));
            Ok((refused.collect::<Vec<Result<(), SendError>>>(),))
        })
    })
}

async fn send(
    mut store: StoreContextMut<'_, State>,
    records: Vec<RecordToSend>,
    until: Until,
) -> wasmtime::Result<Answers> {
    let size: usize = records.iter().map(RecordToSend::size).sum();
    if records.len() > MAX_RECORDS || size > MAX_BYTES {
        return Ok(vec![Err(SendError::TooLarge(MAX_BYTES as u64)); records.len()]);
    }
    let producer = host::producer(&mut store)?;
    let records = records.into_iter().map(|record| record.into_outgoing(producer)).collect();
    host::send(store, records, until).await
}
