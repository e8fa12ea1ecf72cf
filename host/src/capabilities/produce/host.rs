//! Sending, whatever the form: the one place where records leave a guest.

use std::sync::Arc;

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower},
};

use super::{Caller, Instance, State};
use crate::{
    backends::log::{self, Landed},
    observe::traces::{self, Span, SpanKind, Trace},
};

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
    own.produce.as_mut().ok_or_else(not_granted)
}

fn not_granted() -> wasmtime::Error {
    wasmtime::format_err!("`produce` was not granted")
}

/// The span of what one call sends.
fn send_span(
    trace: &Trace,
    plugin: &Arc<str>,
    records: &[Result<log::Outgoing, SendError>],
) -> Option<Span> {
    let mut topics = records.iter().flatten().map(|record| &record.topic);
    let first = topics.next()?;
    let only = topics.all(|topic| topic == first).then(|| first.clone());
    let name = only.as_ref().map_or("send".to_owned(), |topic| format!("send {topic}"));
    let mut span = traces::child(trace, SpanKind::Producer, name, [])?;
    span.note("messaging.system", "trellis");
    span.note("messaging.operation.type", "send");
    if let Some(topic) = only {
        span.note("messaging.destination.name", topic);
    }
    span.note("messaging.batch.message_count", records.len() as i64);
    span.note("trellis.plugin", plugin.clone());
    Some(span)
}

/// For what a guest waits that sends.
#[derive(Clone, Copy)]
pub enum Until {
    /// All is durable or refused.
    Durable,
    /// Nothing, where an answer is held back until it is durable.
    Ahead,
}

/// Send what was accepted and fill in the answers, `Err` already standing where a record was
/// refused.
pub async fn send(
    mut store: StoreContextMut<'_, State>,
    records: Vec<Result<log::Outgoing, SendError>>,
    until: Until,
) -> wasmtime::Result<Answers> {
    let State { call, own, .. } = store.data_mut();
    let producer = own.produce.as_mut().ok_or_else(not_granted)?;
    if let Caller::Transaction(transaction) = &mut producer.caller {
        // The whole batch is one commit, so what is sent belongs to the batch.
        let mut keep = |record: log::Outgoing| {
            let partition = record.partition.unwrap_or(u32::MAX);
            transaction.push(log::Outgoing { trace: call.trace.clone(), ..record });
            Position { partition, offset: None }
        };
        return Ok(records.into_iter().map(|record| record.map(&mut keep)).collect());
    }
    if let Caller::Request(ahead) = &mut producer.caller {
        // In order; and what is ahead may hold the room that this needs.
        call.wait(ahead.settle()).await;
    }
    let prepared = producer.prepared.clone();
    let mut span = call.trace.as_ref().and_then(|trace| send_span(trace, &call.plugin, &records));
    let trace = span.as_ref().map(Span::trace);
    let mut answers: Answers = Vec::with_capacity(records.len());
    let mut accepted = Vec::with_capacity(records.len());
    for record in records {
        answers.push(match record {
            Ok(record) => {
                accepted.push(log::Outgoing { trace: trace.clone(), ..record });
                Ok(Position { partition: 0, offset: None })
            }
            Err(refused) => Err(refused),
        });
    }
    let room = call.wait(prepared.room(&accepted)).await?;
    let landed = match (until, &mut producer.caller) {
        (Until::Ahead, Caller::Request(ahead)) => {
            let count = accepted.len();
            match ahead.send(count, prepared.hand_over(accepted, room), &mut span) {
                Some(landed) => landed,
                None => return Ok(answers),
            }
        }
        _ => {
            let landing = call.wait(prepared.hand_over(accepted, room)).await;
            call.wait(landing).await
        }
    };
    fail(&mut span, &landed);
    fill_in(&mut answers, landed);
    Ok(answers)
}

/// Note in a span that records were lost.
pub fn fail(span: &mut Option<Span>, landed: &Landed) {
    let lost = landed.iter().find_map(|at| at.as_ref().err());
    if let (Some(span), Some(error)) = (span, lost) {
        span.fail("send", error);
    }
}

/// Where records landed that were accepted.
fn fill_in(answers: &mut Answers, landed: Landed) {
    let mut landed = landed.into_iter();
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
}
