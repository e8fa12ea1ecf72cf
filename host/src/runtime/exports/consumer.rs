//! `trellis:kafka/consumer` and `packed-consumer`, and `wasmcloud:messaging/handler` for components
//! that were made for other hosts.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, ComponentType, Instance, Lift, Lower, TypedFunc},
};

use crate::{
    backends::log::{Batch, record::Tail},
    capabilities::{
        State,
        produce::{Message, REPLY_TO},
    },
    runtime::{CallError, Lease},
};

/// Records and lists.
pub const PLAIN: &str = "trellis:kafka/consumer@0.1.0";
/// One byte string.
pub const PACKED: &str = "trellis:kafka/packed-consumer@0.1.0";
/// One message after the other.
pub const MESSAGES: &str = "wasmcloud:messaging/handler@0.2.0";

/// The forms of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Records and lists.
    Plain,
    /// One byte string.
    Packed,
    /// One message after the other.
    Messages,
}

/// `failure-action`
#[derive(Clone, Debug, PartialEq, ComponentType, Lift)]
#[component(variant)]
pub enum Action {
    /// Hand it over again, after this many milliseconds or the back-off of the manifest.
    #[component(name = "retry")]
    Retry(Option<u64>),
    /// Send it to the dead-letter topic.
    #[component(name = "dead-letter")]
    DeadLetter,
}

/// `failure`
#[derive(Clone, Debug, PartialEq, ComponentType, Lift)]
#[component(record)]
pub struct Failure {
    /// The index in the batch of the message that failed.
    pub index: u32,
    /// For people.
    pub reason: String,
    /// What to do with it.
    pub action: Action,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct PlainMessage {
    offset: u64,
    #[component(name = "timestamp-ms")]
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct PlainBatch {
    topic: String,
    partition: u32,
    messages: Vec<PlainMessage>,
    behind: u64,
}

impl PlainBatch {
    fn unpack(topic: &str, partition: u32, batch: &Batch) -> Self {
        let messages = batch.records().map(|record| PlainMessage {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.tail.key().map(<[u8]>::to_vec),
            value: record.tail.value().map(<[u8]>::to_vec),
            headers: record
                .tail
                .headers()
                .map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)))
                .collect(),
        });
        let messages = messages.collect();
        Self { topic: topic.to_owned(), partition, messages, behind: batch.behind }
    }
}

/// Where `handle` is.
pub struct Indices {
    form: Form,
    handle: ComponentExportIndex,
}

impl Indices {
    /// The packed form wins where a component exports both.
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let find = |interface| super::function(component, interface, "handle");
        let packed = find(PACKED).map(|handle| Self { form: Form::Packed, handle });
        let plain = || find(PLAIN).map(|handle| Self { form: Form::Plain, handle });
        let messages = || {
            let handle = super::function(component, MESSAGES, "handle-message");
            handle.map(|handle| Self { form: Form::Messages, handle })
        };
        Ok(packed.or_else(plain).or_else(messages))
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(match self.form {
            Form::Packed => Exports::Packed(instance.get_typed_func(&mut *store, self.handle)?),
            Form::Plain => Exports::Plain(instance.get_typed_func(&mut *store, self.handle)?),
            Form::Messages => Exports::Messages(instance.get_typed_func(&mut *store, self.handle)?),
        })
    }
}

type Verdict = (Result<(), Failure>,);

/// The typed `handle` of an instance.
pub enum Exports {
    /// `packed-consumer`
    Packed(TypedFunc<(Arc<Vec<u8>>,), Verdict>),
    /// `consumer`
    #[allow(private_interfaces, reason = "called by this file alone")]
    Plain(TypedFunc<(PlainBatch,), Verdict>),
    /// `wasmcloud:messaging/handler`
    Messages(HandleMessage),
}

type HandleMessage = TypedFunc<(Message,), (Result<(), String>,)>;

fn message(topic: &str, tail: &Tail<'_>) -> Message {
    let body = tail.value().unwrap_or_default().to_vec().into();
    let mut replies = tail.headers().filter(|(name, _)| *name == REPLY_TO);
    let reply_to = replies.next().and_then(|(_, value)| String::from_utf8(value?.to_vec()).ok());
    Message { subject: topic.to_owned(), body, reply_to }
}

/// Hand over one message after the other, up to the first that is refused: that one comes again,
/// and those behind it.
async fn each(
    store: &mut Store<State>,
    handle: HandleMessage,
    topic: &str,
    batch: &Batch,
) -> wasmtime::Result<Result<(), Failure>> {
    for (index, record) in (0..).zip(batch.records()) {
        let message = message(topic, &record.tail);
        if let (Err(reason),) = handle.call_async(&mut *store, (message,)).await? {
            return Ok(Err(Failure { index, reason, action: Action::Retry(None) }));
        }
    }
    Ok(Ok(()))
}

impl Lease {
    /// Hand a batch to the consumer; the guest's own verdict is the inner result.
    pub async fn consume(
        &mut self,
        topic: &str,
        partition: u32,
        batch: Batch,
    ) -> Result<Result<(), Failure>, CallError> {
        let verdict = match &self.exports().consumer {
            Some(Exports::Packed(handle)) => {
                let handle = *handle;
                self.call(handle, (batch.into_packed(),)).await?.0
            }
            Some(Exports::Plain(handle)) => {
                let handle = *handle;
                self.call(handle, (PlainBatch::unpack(topic, partition, &batch),)).await?.0
            }
            // One call as far as its time and the batch's transaction go.
            Some(Exports::Messages(handle)) => {
                let handle = *handle;
                self.run(async |store| each(store, handle, topic, &batch).await).await?
            }
            None => return Err(self.lacks("a consumer")),
        };
        Ok(verdict)
    }
}
