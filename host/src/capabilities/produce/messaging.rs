//! `wasmcloud:messaging/consumer`: what components of wasmCloud publish becomes records.
//!
//! A subject is a topic, a body a value, and where an answer is to go is the header `reply-to`.

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use super::{
    MAX_BYTES, State,
    host::{self, SendError, Until},
};
use crate::backends::log::Outgoing;

/// The interface.
pub const INTERFACE: &str = "wasmcloud:messaging/consumer@0.2.0";
/// The header of a record that says where an answer is to go.
pub const REPLY_TO: &str = "reply-to";

/// `types.broker-message`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Message {
    /// The topic.
    pub subject: String,
    /// The value; empty where a record has none.
    pub body: Bytes,
    /// The header [`REPLY_TO`].
    #[component(name = "reply-to")]
    pub reply_to: Option<String>,
}

/// Add `publish` and `request`.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.func_wrap_async("publish", |store, (message,): (Message,)| {
        Box::new(async move { Ok((publish(store, message).await?,)) })
    })?;
    interface.func_wrap(
        "request",
        |_: StoreContextMut<'_, State>, (subject, _body, _timeout): (String, Bytes, u32)| {
            let subject: String = subject.escape_debug().take(256).collect();
            let refused = format!(
                "nobody answers a request to `{subject}`: records have no replies; publish with \
                 `reply-to` and consume that topic"
            );
            Ok((Err::<Message, _>(refused),))
        },
    )
}

async fn publish(
    mut store: StoreContextMut<'_, State>,
    message: Message,
) -> wasmtime::Result<Result<(), String>> {
    let record = into_outgoing(message, host::producer(&mut store)?);
    let answers = host::send(store, vec![record], Until::Durable).await?;
    let lost = answers.into_iter().find_map(Result::err);
    Ok(lost.map_or(Ok(()), |error| Err(in_words(error))))
}

fn into_outgoing(message: Message, producer: &mut super::Instance) -> Result<Outgoing, SendError> {
    let Message { subject, body, reply_to } = message;
    if body.len() + reply_to.as_ref().map_or(0, String::len) > MAX_BYTES {
        return Err(SendError::TooLarge(MAX_BYTES as u64));
    }
    let topic = producer.topic(&subject).ok_or(SendError::NotGranted(subject))?;
    let reply_to = reply_to.as_ref().map(|topic| (REPLY_TO, Some(topic.as_bytes())));
    Ok(Outgoing::new(topic, None, Some(&body), reply_to.as_slice()))
}

/// The interface's errors are texts.
fn in_words(error: SendError) -> String {
    match error {
        SendError::NotGranted(topic) => {
            let topic: String = topic.escape_debug().take(256).collect();
            format!("the topic `{topic}` was not granted; add it to `[needs.produce] topics`")
        }
        SendError::UnknownTopic(topic) => {
            format!("there is no topic `{topic}`; add it to `[topics]` of the manifest")
        }
        SendError::UnknownPartition(partition) => format!("there is no partition `{partition}`"),
        SendError::TooLarge(most) => {
            format!("the message is too large; send `{most}` bytes at most")
        }
        SendError::Unavailable(reason) | SendError::Malformed(reason) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let told = in_words(SendError::NotGranted("a\nb".into()));
        assert_eq!(told, "the topic `a\\nb` was not granted; add it to `[needs.produce] topics`");
        let told = in_words(SendError::UnknownTopic("raw".into()));
        assert_eq!(told, "there is no topic `raw`; add it to `[topics]` of the manifest");
    }
}
