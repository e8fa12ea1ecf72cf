//! `channels`: fan-out to connections, and who is here: `trellis:streaming/channels`, `presence`
//! and `mailboxes`.
//!
//! What a call asks for happens at once, except where the connection trigger hands events over:
//! then it is kept back until the call has returned, and dropped with the store after a trap, so
//! that the events may come again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::backends::{
    Backends,
    channels::{self, Effect, Frame, Hub, Mailbox, Rule, Rules, Space},
};

pub mod host;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

/// The longest name of a channel, key of presence, or beginning of names in a manifest.
const MAX_NAME: usize = 255;
/// The longest tag of a connection, and meta of presence.
const MAX_TEXT: usize = 4096;
/// The longest title of what plays.
const MAX_TITLE: usize = 1024;
/// The largest frame.
const MAX_FRAME: usize = 1 << 20;
/// The longest reason of a close: what fits in its frame.
const MAX_REASON: usize = 123;
/// What events may ask for before they return: effects, and bytes of them.
const MAX_DEFERRED: usize = 65_536;
const MAX_DEFERRED_BYTES: usize = 32 << 20;
/// How long a mailbox may be told to wait for its reader.
const IDLE: std::ops::RangeInclusive<u64> = 1000..=600_000;

/// `[needs.channels]`: what is kept of channels, by their name or the beginning of their names
/// and `*`. The operator grants it by the presence of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grant(pub BTreeMap<String, Rule>);

/// The capability: all plugins' spaces.
pub struct Channels {
    hub: Arc<Hub>,
}

/// What a generation has: its plugin's space, and its own rules.
pub struct Prepared {
    space: Arc<Space>,
    rules: Rules,
}

/// One store's part.
pub struct Instance {
    prepared: Arc<Prepared>,
    /// What is kept back, in order; `None` while everything happens at once.
    deferred: Option<Deferred>,
}

#[derive(Default)]
struct Deferred {
    effects: Vec<Effect>,
    bytes: usize,
}

/// What events asked for.
pub struct Effects {
    prepared: Arc<Prepared>,
    effects: Vec<Effect>,
}

/// Why a call had no effect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something is longer than it may be.
    #[error("{what} of {length} bytes; at most {most} are taken")]
    TooLong {
        /// What.
        what: &'static str,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// A channel without a name.
    #[error("the name of a channel is empty")]
    NoName,
    /// A code that does not go over the wire, or is not the host's to send.
    #[error(
        "{0} is no code that a host may close with; use 1000, 1001, 1003, 1007 to 1013 or 3000 to 4999"
    )]
    Code(u16),
    /// A mailbox that would wait for too short or too long.
    #[error("a mailbox waits 1000 to 600000 milliseconds for its reader, not {0}")]
    Idle(u64),
    /// The plugin's space would not.
    #[error(transparent)]
    Space(#[from] channels::Error),
}

/// Events asked for more than they may: the call must end.
#[derive(Debug, thiserror::Error)]
#[error(
    "events asked for more than {MAX_DEFERRED} things or {MAX_DEFERRED_BYTES} bytes before they returned"
)]
struct TooMuch;

impl Instance {
    /// Keep back what the call asks for; see [`Self::take`].
    pub fn defer(&mut self) {
        self.deferred = Some(Deferred::default());
    }

    /// What was kept back. From here on everything happens at once again.
    pub fn take(&mut self) -> Effects {
        let deferred = self.deferred.take().unwrap_or_default();
        Effects { prepared: self.prepared.clone(), effects: deferred.effects }
    }

    /// Wait for those who serve connections, where something is to happen at once.
    async fn settled(&self, effect: &Effect) {
        if self.deferred.is_none() {
            self.prepared.space.settled(effect, &self.prepared.rules).await;
        }
    }

    /// Let something happen, or keep it back; the outer error ends the call.
    fn cause(&mut self, effect: Effect) -> Result<Result<(), Error>, TooMuch> {
        if let Err(error) = check(&effect) {
            return Ok(Err(error));
        }
        let Some(deferred) = &mut self.deferred else {
            return Ok(self
                .prepared
                .space
                .apply(effect, &self.prepared.rules)
                .map_err(Error::from));
        };
        deferred.bytes += size_of::<Effect>() + length(&effect);
        if deferred.effects.len() >= MAX_DEFERRED || deferred.bytes > MAX_DEFERRED_BYTES {
            return Err(TooMuch);
        }
        deferred.effects.push(effect);
        Ok(Ok(()))
    }

    fn open_mailbox(&self, tag: &str, idle: u64) -> Result<u64, Error> {
        within("a tag", tag.len(), MAX_TEXT)?;
        if !IDLE.contains(&idle) {
            return Err(Error::Idle(idle));
        }
        Ok(self.prepared.space.open_mailbox(tag, Duration::from_millis(idle))?)
    }

    fn mailbox(&self, connection: u64) -> Option<Arc<Mailbox>> {
        self.prepared.space.mailbox(connection)
    }
}

impl Effects {
    /// Let it all happen, in order. What cannot be is told once a call.
    pub async fn apply(self) {
        let Self { prepared, effects } = self;
        let mut failed = None;
        for effect in effects {
            prepared.space.settled(&effect, &prepared.rules).await;
            if let Err(error) = prepared.space.apply(effect, &prepared.rules) {
                failed.get_or_insert(error);
            }
        }
        if let Some(error) = failed {
            tracing::warn!(plugin = %prepared.space.plugin(), %error, "what events asked of channels was left out");
        }
    }
}

/// Whether an effect is within the limits that the WIT names.
pub fn check(effect: &Effect) -> Result<(), Error> {
    match effect {
        Effect::Publish(channel, frame) => {
            name(channel)?;
            sized(frame)
        }
        Effect::Title(channel, title) => {
            name(channel)?;
            within("a title", title.len(), MAX_TITLE)
        }
        Effect::Join(_, channel, _) | Effect::Leave(_, channel) | Effect::Hide(_, channel) => {
            name(channel)
        }
        Effect::Send(_, frame) => sized(frame),
        Effect::Close(_, code, reason) => {
            within("a reason", reason.len(), MAX_REASON)?;
            let fits = matches!(code, 1000 | 1001 | 1003 | 1007..=1013 | 3000..=4999);
            if fits { Ok(()) } else { Err(Error::Code(*code)) }
        }
        Effect::Retag(_, tag) => within("a tag", tag.len(), MAX_TEXT),
        Effect::Show(_, channel, key, meta) => {
            name(channel)?;
            within("a key", key.len(), MAX_NAME)?;
            within("what is shown", meta.len(), MAX_TEXT)
        }
    }
}

fn name(channel: &str) -> Result<(), Error> {
    if channel.is_empty() {
        return Err(Error::NoName);
    }
    within("the name of a channel", channel.len(), MAX_NAME)
}

fn sized(frame: &Frame) -> Result<(), Error> {
    within("a frame", frame.payload().len(), MAX_FRAME)
}

fn within(what: &'static str, length: usize, most: usize) -> Result<(), Error> {
    if length <= most { Ok(()) } else { Err(Error::TooLong { what, length, most }) }
}

/// The bytes that an effect holds.
fn length(effect: &Effect) -> usize {
    match effect {
        Effect::Publish(channel, frame) => channel.len() + frame.payload().len(),
        Effect::Title(channel, title) => channel.len() + title.len(),
        Effect::Join(_, text, _)
        | Effect::Leave(_, text)
        | Effect::Close(_, _, text)
        | Effect::Retag(_, text)
        | Effect::Hide(_, text) => text.len(),
        Effect::Send(_, frame) => frame.payload().len(),
        Effect::Show(_, channel, key, meta) => channel.len() + key.len() + meta.len(),
    }
}

impl Capability for Channels {
    const NAME: &'static str = "channels";
    const INTERFACES: &'static [&'static str] = host::INTERFACES;
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { hub: backends.channels.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        host::link(linker)
    }

    fn beyond(_need: &Grant, _allowed: &Grant) -> Vec<String> {
        Vec::new()
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        let channels::Settings { max_bytes, max_frames, .. } = self.hub.settings();
        for (name, rule) in &grant.0 {
            anyhow::ensure!(
                rule.bytes.0 <= max_bytes.0 && rule.frames <= *max_frames,
                "`[needs.channels.\"{name}\"]` asks to keep {} frames of {} bytes; the operator \
                 allows {max_frames} of {max_bytes} (`[channels] max-frames`, `max-bytes`)",
                rule.frames,
                rule.bytes
            );
        }
        Ok(Prepared { space: self.hub.space(&plugin.name), rules: Rules::new(&grant.0) })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone(), deferred: None }
    }
}
