//! What one plugin has: its channels, its connections, and who is shown where.
//!
//! It outlives the plugin's generations. Whoever serves a connection admits it here with an
//! [`Outlet`]; whatever is to happen to connections and channels is an [`Effect`], whether it is
//! asked for at once or kept until a call has ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicU64},
    time::{Duration, Instant},
};

use metrics::{counter, gauge};

use super::{
    Channel, Channels, End, Frame, Limits, Mailbox, Options, Refused, Rules, Settings, Start,
    presence::{Presence, Shown},
    shared::{Full, Person, Shared, Tag},
};

mod across;

/// The most channels that a connection hears.
pub const MAX_JOINED: usize = 64;

/// The other end of a connection, as whoever serves it lets others use it. What is asked of a
/// connection that has ended does nothing.
pub trait Outlet: Send + Sync {
    /// Hear a channel; nothing if it does so already.
    fn join(&self, channel: Arc<Channel>, start: Start);
    /// Hear it no longer.
    fn leave(&self, channel: &Arc<Channel>);
    /// Send a frame, behind those sent before.
    fn send(&self, frame: Frame);
    /// End, behind what was sent before.
    fn close(&self, code: u16, reason: &str);
    /// Bytes that were sent to it and that it has not taken.
    fn waiting(&self) -> usize;
}

/// Something that happens to channels or connections.
#[derive(Debug)]
pub enum Effect {
    /// A frame goes to all who joined.
    Publish(String, Frame),
    /// Something else plays in a channel.
    Title(String, String),
    /// A connection hears a channel from here on.
    Join(u64, String, Start),
    /// It hears it no longer.
    Leave(u64, String),
    /// A frame goes to one connection.
    Send(u64, Frame),
    /// A connection ends.
    Close(u64, u16, String),
    /// A connection gets another tag.
    Retag(u64, String),
    /// A connection is shown in a channel as `key`, with `meta`.
    Show(u64, String, String, String),
    /// It is shown there no longer.
    Hide(u64, String),
}

impl Effect {
    /// The connection that it happens to.
    pub fn connection(&self) -> Option<u64> {
        match self {
            Self::Publish(..) | Self::Title(..) => None,
            Self::Join(id, ..)
            | Self::Leave(id, _)
            | Self::Send(id, _)
            | Self::Close(id, ..)
            | Self::Retag(id, _)
            | Self::Show(id, ..)
            | Self::Hide(id, _) => Some(*id),
        }
    }

    /// The channel whose rule matters for it.
    fn channel(&self) -> Option<&str> {
        match self {
            Self::Publish(channel, _)
            | Self::Title(channel, _)
            | Self::Join(_, channel, _)
            | Self::Show(_, channel, ..) => Some(channel),
            Self::Leave(..)
            | Self::Send(..)
            | Self::Close(..)
            | Self::Retag(..)
            | Self::Hide(..) => None,
        }
    }
}

/// Why nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such channel, and none can be made.
    #[error(transparent)]
    Channel(#[from] Refused),
    /// A connection hears or is shown in as many channels as it may.
    #[error("a connection may be in {MAX_JOINED} channels; leave one first")]
    TooManyJoined,
    /// There is no room for another mailbox.
    #[error("the plugin has {0} mailboxes already; wait until some have ended")]
    TooManyMailboxes(usize),
    /// What is shared with other nodes cannot be told them for now.
    #[error(transparent)]
    Full(#[from] Full),
}

/// What a plugin has of channels and connections.
pub struct Space {
    plugin: Arc<str>,
    numbers: Arc<AtomicU64>,
    most_mailboxes: usize,
    channels: Channels,
    connections: RwLock<HashMap<u64, Arc<Connection>>>,
    mailboxes: Mutex<HashMap<u64, Arc<Mailbox>>>,
    presence: Mutex<Presence>,
    /// The most that is kept of a channel, whatever another node asks for.
    most: Limits,
    /// The tie to other nodes, where channels are shared.
    shared: Option<Arc<Shared>>,
}

/// A connection, seen from here.
struct Connection {
    outlet: Box<dyn Outlet>,
    own: Mutex<Own>,
}

struct Own {
    /// Whether the plugin's connection handler is told of it.
    handled: bool,
    tag: Tag,
    /// The channels it hears.
    joined: Vec<Arc<Channel>>,
}

impl Space {
    /// That of a plugin. Its connections get their numbers from what all spaces share.
    pub(super) fn new(
        plugin: Arc<str>,
        settings: &Settings,
        numbers: Arc<AtomicU64>,
        shared: Option<Arc<Shared>>,
    ) -> Self {
        let (frames, bytes) = (settings.max_frames as usize, settings.max_bytes.as_usize());
        Self {
            plugin,
            numbers,
            most_mailboxes: settings.mailboxes,
            channels: Channels::new(settings.channels),
            connections: RwLock::default(),
            mailboxes: Mutex::default(),
            presence: Mutex::default(),
            most: Limits { frames, bytes },
            shared,
        }
    }

    /// Whose it is.
    pub fn plugin(&self) -> &Arc<str> {
        &self.plugin
    }

    /// The number of a connection that is about to be admitted.
    pub fn number(&self) -> u64 {
        super::next(&self.numbers)
    }

    /// Open a mailbox that ends when nobody has read it for `idle`.
    pub fn open_mailbox(&self, tag: &str, idle: Duration) -> Result<u64, Error> {
        let (id, mailbox) = (self.number(), Arc::new(Mailbox::new(idle)));
        let mut mailboxes = self.mailboxes();
        if mailboxes.len() >= self.most_mailboxes {
            return Err(Error::TooManyMailboxes(mailboxes.len()));
        }
        self.admit(id, tag, mailbox.reader().outlet());
        mailboxes.insert(id, mailbox);
        Ok(id)
    }

    /// The mailbox of this number.
    pub fn mailbox(&self, id: u64) -> Option<Arc<Mailbox>> {
        self.mailboxes().get(&id).cloned()
    }

    /// Let a connection in: from here on it can be named in effects.
    pub fn admit(&self, id: u64, tag: &str, outlet: Box<dyn Outlet>) {
        self.admit_as(id, tag, true, outlet);
    }

    /// Let one in that no connection handler is told of.
    pub fn admit_unhandled(&self, id: u64, outlet: Box<dyn Outlet>) {
        self.admit_as(id, "", false, outlet);
    }

    fn admit_as(&self, id: u64, tag: &str, handled: bool, outlet: Box<dyn Outlet>) {
        let tag = Tag { version: 0, text: tag.into() };
        let own = Mutex::new(Own { handled, tag, joined: Vec::new() });
        let connection = Arc::new(Connection { outlet, own });
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        connections.insert(id, connection);
    }

    /// A connection has ended: it is shown nowhere, and hears nothing. Its last tag, if it was
    /// there.
    pub fn remove(&self, id: u64) -> Option<Arc<str>> {
        let gone = {
            let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
            connections.remove(&id)
        };
        let mut presence = self.presence();
        for channel in presence.forget(id) {
            if let Some(shared) = &self.shared {
                shared.hide(&self.plugin, channel, id);
            }
        }
        drop(presence);
        gone.map(|connection| connection.own().tag.text.clone())
    }

    /// What was last given to a connection as its tag. Those of other nodes are known while they
    /// are shown somewhere.
    pub fn tag(&self, id: u64) -> Option<Arc<str>> {
        match self.connection(id) {
            Some(connection) => Some(connection.own().tag.text.clone()),
            None => self.shared.as_ref().and_then(|_| self.presence().tag(id)),
        }
    }

    /// Bytes that were sent to a connection and that it has not taken; 0 where it has ended.
    pub fn waiting(&self, id: u64) -> usize {
        self.connection(id).map_or(0, |connection| connection.outlet.waiting())
    }

    /// Wait until a publish cannot overrun connections that are fast, or what waits for other
    /// nodes; and before somebody resumes here, until all is here that it has heard elsewhere.
    /// Nothing else waits.
    pub async fn settled(&self, effect: &Effect, rules: &Rules) {
        let shared = |channel| self.shared.as_ref().filter(|_| rules.of(channel).shared);
        match effect {
            Effect::Publish(channel, _) => match shared(channel) {
                Some(shared) => shared.has_room(&self.plugin, channel).await,
                None => {
                    if let Some(channel) = self.channels.get(channel) {
                        channel.settled().await;
                    }
                }
            },
            Effect::Join(_, channel, Start::Sequence(last)) => {
                if let Some(shared) = shared(channel) {
                    shared.has_read(&self.plugin, channel, *last).await;
                }
            }
            _ => {}
        }
    }

    /// Let something happen, here or where the connection is.
    pub fn apply(&self, effect: Effect, rules: &Rules) -> Result<(), Error> {
        let options = effect.channel().map_or_else(Options::default, |name| rules.of(name));
        match (&self.shared, effect.connection()) {
            (Some(shared), Some(id)) if !shared.is_own(id) => {
                Ok(shared.order(&self.plugin, options, effect)?)
            }
            _ => self.act(effect, options),
        }
    }

    /// Let something happen to what is here; a channel is made with the options.
    pub(super) fn act(&self, effect: Effect, options: Options) -> Result<(), Error> {
        match effect {
            Effect::Publish(name, frame) => self.publish(name, options, frame),
            Effect::Title(name, title) => self.entitle(name, options, title),
            Effect::Join(id, channel, start) => self.join(id, &channel, start, options),
            Effect::Leave(id, channel) => {
                self.with(id, |connection| connection.leave(&channel));
                Ok(())
            }
            Effect::Send(id, frame) => {
                self.with(id, |connection| connection.outlet.send(frame));
                Ok(())
            }
            Effect::Close(id, code, reason) => {
                self.with(id, |connection| connection.outlet.close(code, &reason));
                Ok(())
            }
            Effect::Retag(id, tag) => {
                self.with(id, |connection| connection.own().retag(tag));
                self.announce(id);
                Ok(())
            }
            Effect::Show(id, channel, key, meta) => {
                self.show(Shown { connection: id, key, meta }, channel, options.shared)
            }
            Effect::Hide(id, channel) => {
                self.hide(id, channel);
                Ok(())
            }
        }
    }

    fn publish(&self, name: String, options: Options, frame: Frame) -> Result<(), Error> {
        // Also where it goes to all nodes: there is a limit of channels.
        let channel = self.channels.open(&name, options)?;
        match &self.shared {
            Some(shared) if options.shared => {
                Ok(shared.publish(&self.plugin, name, options, frame)?)
            }
            _ => {
                channel.push(frame);
                Ok(())
            }
        }
    }

    fn entitle(&self, name: String, options: Options, title: String) -> Result<(), Error> {
        let channel = self.channels.open(&name, options)?;
        match &self.shared {
            Some(shared) if options.shared => {
                Ok(shared.entitle(&self.plugin, name, options, title)?)
            }
            _ => {
                channel.entitle(&title);
                Ok(())
            }
        }
    }

    /// The connections that hear a channel.
    pub fn listeners(&self, channel: &str) -> usize {
        self.channels.get(channel).map_or(0, |channel| channel.listeners())
    }

    /// The last frames that a channel keeps, the oldest first.
    pub fn recent(&self, channel: &str, most: usize) -> Vec<Arc<Frame>> {
        self.channels.get(channel).map_or_else(Vec::new, |channel| channel.recent(most))
    }

    /// Who is shown in a channel, in the order in which they came.
    pub fn who(&self, channel: &str) -> Vec<Arc<Shown>> {
        self.presence().who(channel)
    }

    /// Whether a connection is of no use without its plugin's connection handler. A mailbox is, to
    /// the requests that read it.
    pub fn needs_handler(&self, id: u64) -> bool {
        self.is_handled(id) && !self.mailboxes().contains_key(&id)
    }

    /// Whether the plugin's connection handler is told of a connection that is there.
    pub fn is_handled(&self, id: u64) -> bool {
        self.connection(id).is_some_and(|connection| connection.own().handled)
    }

    /// The connections that are open, for those who end them all.
    pub fn ids(&self) -> Vec<u64> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        connections.keys().copied().collect()
    }

    /// Let channels go that nobody has used for a while, and mailboxes that have ended; those with
    /// their last tags, and why.
    pub(super) fn sweep(&self, now: Instant) -> Vec<(u64, Arc<str>, End)> {
        self.channels.sweep(now);
        self.measure();
        let mut ended = Vec::new();
        self.mailboxes().retain(|id, mailbox| match mailbox.end(now) {
            Some(end) => {
                ended.push((*id, end));
                false
            }
            None => true,
        });
        let gone = |(id, end)| self.remove(id).map(|tag| (id, tag, end));
        ended.into_iter().filter_map(gone).collect()
    }

    /// Bring its numbers up to date.
    fn measure(&self) {
        let (tally, plugin) = (self.channels.tally(), self.plugin.to_string());
        gauge!("trellis_channels", "plugin" => plugin.clone()).set(self.channels.count() as f64);
        gauge!("trellis_channel_memory_bytes", "plugin" => plugin.clone())
            .set(tally.bytes() as f64);
        counter!("trellis_channel_frames_lost_total", "plugin" => plugin.clone())
            .absolute(tally.lost());
        counter!("trellis_channel_kicked_total", "plugin" => plugin).absolute(tally.kicked());
    }

    fn join(&self, id: u64, name: &str, start: Start, options: Options) -> Result<(), Error> {
        let Some(connection) = self.connection(id) else { return Ok(()) };
        let channel = self.channels.open(name, options)?;
        // Held over the outlet's part, so that the two agree on what is heard.
        let mut own = connection.own();
        if own.joined.iter().any(|joined| Arc::ptr_eq(joined, &channel)) {
            return Ok(());
        }
        if own.joined.len() >= MAX_JOINED {
            return Err(Error::TooManyJoined);
        }
        own.joined.push(channel.clone());
        connection.outlet.join(channel, start);
        Ok(())
    }

    fn show(&self, shown: Shown, channel: String, is_shared: bool) -> Result<(), Error> {
        let Shown { connection, key, meta } = shown;
        // Under the lock, so that an end cannot come in between and leave it shown for ever.
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = connections.get(&connection) else { return Ok(()) };
        let shared = self.shared.as_ref().filter(|_| is_shared);
        let told = shared.map(|shared| {
            let (plugin, tag) = (self.plugin.clone(), own.own().tag.clone());
            let (channel, key, meta) = (channel.clone(), key.clone(), meta.clone());
            (shared, Person { plugin, channel, connection, key, meta, tag })
        });
        let mut presence = self.presence();
        if !presence.show(connection, channel, key, meta, told.is_some()) {
            return Err(Error::TooManyJoined);
        }
        // Others hear of it in the order in which it happens here.
        if let Some((shared, person)) = told {
            shared.show(person);
        }
        Ok(())
    }

    fn hide(&self, id: u64, channel: String) {
        let mut presence = self.presence();
        if presence.hide(id, &channel)
            && let Some(shared) = &self.shared
        {
            shared.hide(&self.plugin, channel, id);
        }
    }

    fn with(&self, id: u64, act: impl FnOnce(&Connection)) {
        if let Some(connection) = self.connection(id) {
            act(&connection);
        }
    }

    fn connection(&self, id: u64) -> Option<Arc<Connection>> {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        connections.get(&id).cloned()
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn retag(&mut self, tag: String) {
        self.tag = Tag { version: self.tag.version + 1, text: tag.into() };
    }
}

impl Connection {
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, channel: &str) {
        let mut own = self.own();
        let Some(at) = own.joined.iter().position(|joined| **joined.name() == *channel) else {
            return;
        };
        let left = own.joined.swap_remove(at);
        self.outlet.leave(&left);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Notes what is asked of it.
    #[derive(Default)]
    struct Noted(Mutex<Vec<String>>);

    impl Outlet for Arc<Noted> {
        fn join(&self, channel: Arc<Channel>, start: Start) {
            self.0.lock().unwrap().push(format!("join {} {start:?}", channel.name()));
        }
        fn leave(&self, channel: &Arc<Channel>) {
            self.0.lock().unwrap().push(format!("leave {}", channel.name()));
        }
        fn send(&self, frame: Frame) {
            self.0.lock().unwrap().push(format!("send {:?}", frame.payload()));
        }
        fn close(&self, code: u16, reason: &str) {
            self.0.lock().unwrap().push(format!("close {code} {reason}"));
        }
        fn waiting(&self) -> usize {
            7
        }
    }

    fn space() -> (Space, Arc<Noted>) {
        let space = Space::new("p".into(), &Settings::default(), Arc::default(), None);
        let noted = Arc::new(Noted::default());
        space.admit(1, "first", Box::new(noted.clone()));
        (space, noted)
    }

    fn apply(space: &Space, effect: Effect) -> Result<(), Error> {
        space.apply(effect, &Rules::default())
    }

    #[test]
    fn a_connection_hears_a_channel_once_until_it_leaves() {
        let (space, noted) = space();
        for _ in 0..2 {
            apply(&space, Effect::Join(1, "a".into(), Start::Next)).unwrap();
        }
        apply(&space, Effect::Leave(1, "a".into())).unwrap();
        apply(&space, Effect::Join(1, "a".into(), Start::Recent(3))).unwrap();
        let seen = noted.0.lock().unwrap().clone();
        assert_eq!(seen, ["join a Next", "leave a", "join a Recent(3)"]);
    }

    #[test]
    fn a_connection_is_in_so_many_channels_and_no_more() {
        let (space, _) = space();
        let join =
            |number: usize| apply(&space, Effect::Join(1, format!("c{number}"), Start::Next));
        assert!((0..MAX_JOINED).all(|number| join(number).is_ok()));
        assert_eq!(join(MAX_JOINED), Err(Error::TooManyJoined));
    }

    #[test]
    fn what_is_asked_of_a_connection_that_has_ended_does_nothing() {
        let (space, noted) = space();
        apply(&space, Effect::Retag(1, "second".into())).unwrap();
        apply(&space, Effect::Show(1, "a".into(), "ada".into(), String::new())).unwrap();
        assert_eq!(space.who("a").len(), 1);
        assert_eq!(space.waiting(1), 7);
        assert_eq!(space.remove(1).as_deref(), Some("second"));
        assert_eq!((space.remove(1), space.waiting(1)), (None, 0));
        assert!(space.who("a").is_empty());
        for effect in [
            Effect::Send(1, Frame::text("x")),
            Effect::Join(1, "a".into(), Start::Next),
            Effect::Show(1, "a".into(), "ada".into(), String::new()),
            Effect::Close(1, 1000, String::new()),
        ] {
            apply(&space, effect).unwrap();
        }
        assert!(space.who("a").is_empty() && noted.0.lock().unwrap().is_empty());
    }
}
