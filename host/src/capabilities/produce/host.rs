//! Sending, whatever the form: the one place where records leave a guest.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower},
};

use super::{Instance, State};
use crate::backends::log;

/// `trellis:kafka/types.position`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Position {
    partition: u32,
    offset: Option<u64>,
}

/// `trellis:kafka/types.send-error`.
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(variant)]
pub enum SendError {
    #[component(name = "not-granted")]
    NotGranted(String),
    #[component(name = "unknown-topic")]
    UnknownTopic(String),
    #[component(name = "unknown-partition")]
    UnknownPartition(u32),
    #[component(name = "too-large")]
    TooLarge(u64),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "malformed")]
    Malformed(String),
}

impl From<log::Error> for SendError {
    fn from(error: log::Error) -> Self {
        match error {
            log::Error::UnknownTopic(topic) => Self::UnknownTopic(topic),
            log::Error::UnknownPartition { partition, .. } => Self::UnknownPartition(partition),
            log::Error::TooLarge { limit, .. } => Self::TooLarge(limit),
            log::Error::InvalidRecord(what) => Self::Malformed(what),
            other => {
                tracing::warn!(error = %other, "a plugin's records were not written");
                Self::Unavailable("the log is not available".into())
            }
        }
    }
}

/// One answer a record.
pub type Answers = Vec<Result<Position, SendError>>;

/// The producer of this store. The load refused a component that imports it without a grant.
pub fn producer<'a>(
    store: &'a mut StoreContextMut<'_, State>,
) -> wasmtime::Result<&'a mut Instance> {
    let own = &mut store.data_mut().own;
    own.produce.as_mut().ok_or_else(|| wasmtime::format_err!("`produce` was not granted"))
}

/// Send what was accepted and fill in the answers, `Err` already standing where a record was
/// refused.
pub async fn send(
    mut store: StoreContextMut<'_, State>,
    records: Vec<Result<log::Outgoing, SendError>>,
) -> wasmtime::Result<Answers> {
    let producer = producer(&mut store)?;
    if let Some(transaction) = &mut producer.transaction {
        let mut keep = |record: log::Outgoing| {
            let partition = record.partition.unwrap_or(u32::MAX);
            transaction.push(record);
            Position { partition, offset: None }
        };
        return Ok(records.into_iter().map(|record| record.map(&mut keep)).collect());
    }
    let prepared = producer.prepared.clone();
    let mut answers: Answers = Vec::with_capacity(records.len());
    let mut accepted = Vec::with_capacity(records.len());
    for record in records {
        answers.push(match record {
            Ok(record) => {
                accepted.push(record);
                Ok(Position { partition: 0, offset: None })
            }
            Err(refused) => Err(refused),
        });
    }
    let call = &mut store.data_mut().call;
    let mut landed = call.wait(prepared.send(accepted)).await.into_iter();
    for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
        *answer = match landed.next() {
            Some(Ok(at)) => {
                let offset = (at.offset != log::Position::UNKNOWN).then_some(at.offset);
                Ok(Position { partition: at.partition, offset })
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(SendError::Unavailable("the log gave no answer".into())),
        };
    }
    Ok(answers)
}
