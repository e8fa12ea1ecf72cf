//! `produce`: writing to topics, `trellis:kafka/producer` and `packed-producer`, and
//! `wasmcloud:messaging` for components that were made for other hosts.
//!
//! A send waits until the log has made the records durable. While a consumer under
//! `exactly-once = "topics"` handles a batch, its trigger opens a transaction here: sends are
//! then kept in the store and handed to the trigger, which commits them with the offsets. While an
//! HTTP handler makes an answer, what it sends ahead is waited for by its trigger, once the
//! instance is back in its place.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::backends::{Backends, log};

mod ahead;
mod host;
mod messaging;
mod packed;
mod plain;

pub use ahead::Ahead;
pub use messaging::{Message, REPLY_TO};

/// The most records one call may send.
const MAX_RECORDS: usize = 10_000;
/// The most bytes one call may send.
const MAX_BYTES: usize = 16 << 20;

/// The most bytes that a plugin has on their way to the log at a time; a larger call goes alone.
/// Others' records stand behind these at most.
const ROOM: usize = 4 << 20;

/// The capability: the host's log.
pub struct Produce {
    log: Arc<dyn log::Log>,
}

/// `[needs.produce]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The topics to write to. A name that ends in `*` stands for all that start with it.
    pub topics: Vec<String>,
}

impl Grant {
    fn allows(&self, topic: &str) -> bool {
        self.topics.iter().any(|pattern| matches(pattern, topic))
    }
}

/// Whether a topic, or a narrower pattern, is within a pattern.
fn matches(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => topic.starts_with(prefix),
        None => pattern == topic,
    }
}

/// What a generation may write to.
pub struct Prepared {
    log: Arc<dyn log::Log>,
    grant: Grant,
    /// What is left of [`ROOM`].
    room: Arc<Semaphore>,
}

impl Prepared {
    /// Wait until there is room for these records, which they take until they have landed.
    async fn room(&self, records: &[log::Outgoing]) -> wasmtime::Result<OwnedSemaphorePermit> {
        let bytes: usize = records.iter().map(|record| record.tail.len()).sum();
        let bytes = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        // Never closed.
        Ok(self.room.clone().acquire_many_owned(bytes).await?)
    }

    /// Have the log take records over, and their room with them.
    async fn hand_over(
        self: Arc<Self>,
        records: Vec<log::Outgoing>,
        room: OwnedSemaphorePermit,
    ) -> log::Landing {
        self.log.hand_over(records, Some(room)).await
    }
}

/// Who called the guest, which decides what becomes of what it sends.
#[derive(Default)]
enum Caller {
    /// Somebody who knows nothing of it.
    #[default]
    Other,
    /// A consumer that commits it with its offsets.
    Transaction(Vec<log::Outgoing>),
    /// An HTTP request whose answer waits for what is sent ahead.
    Request(Ahead),
}

/// One store's producer.
pub struct Instance {
    prepared: Arc<Prepared>,
    caller: Caller,
    /// The topics that were checked already, as shared names: a plugin sends to few.
    known: Vec<Arc<str>>,
}

impl Instance {
    /// Keep what is sent from now on until [`Self::take_transaction`].
    pub fn begin_transaction(&mut self) {
        self.caller = Caller::Transaction(Vec::new());
    }

    /// What was sent since [`Self::begin_transaction`].
    pub fn take_transaction(&mut self) -> Vec<log::Outgoing> {
        match std::mem::take(&mut self.caller) {
            Caller::Transaction(sent) => sent,
            Caller::Other | Caller::Request(_) => Vec::new(),
        }
    }

    /// Let the guest send ahead from now on, until [`Self::take_ahead`].
    pub fn begin_ahead(&mut self) {
        self.caller = Caller::Request(Ahead::default());
    }

    /// What was sent ahead since [`Self::begin_ahead`].
    pub fn take_ahead(&mut self) -> Ahead {
        match std::mem::take(&mut self.caller) {
            Caller::Request(ahead) => ahead,
            Caller::Other | Caller::Transaction(_) => Ahead::default(),
        }
    }

    /// The shared name of a topic that may be written to.
    fn topic(&mut self, topic: &str) -> Option<Arc<str>> {
        if let Some(known) = self.known.iter().find(|known| ***known == *topic) {
            return Some(known.clone());
        }
        if !self.prepared.grant.allows(topic) {
            return None;
        }
        let name: Arc<str> = topic.into();
        if self.known.len() < 64 {
            self.known.push(name.clone());
        }
        Some(name)
    }
}

impl Capability for Produce {
    const NAME: &'static str = "produce";
    const INTERFACES: &'static [&'static str] =
        &[plain::INTERFACE, packed::INTERFACE, messaging::INTERFACE];
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { log: backends.log.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        plain::link(linker)?;
        packed::link(linker)?;
        messaging::link(linker)
    }

    fn beyond(need: &Grant, allowed: &Grant) -> Vec<String> {
        let missing = need.topics.iter().filter(|topic| !allowed.allows(topic));
        missing.map(|topic| format!("topics = [\"{topic}\"]")).collect()
    }

    async fn prepare(&self, _plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        Ok(Prepared {
            log: self.log.clone(),
            grant: grant.clone(),
            room: Arc::new(Semaphore::new(ROOM)),
        })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone(), caller: Caller::Other, known: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_beyond_the_grant_is_named_as_the_operator_would_write_it() {
        let need = Grant { topics: vec!["raw".into(), "events.de".into(), "all*".into()] };
        let allowed = Grant { topics: vec!["events.*".into(), "all.*".into()] };
        assert_eq!(Produce::beyond(&need, &allowed), ["topics = [\"raw\"]", "topics = [\"all*\"]"]);
    }
}
