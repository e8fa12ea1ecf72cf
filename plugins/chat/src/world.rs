//! All that the chat asks of what is around it. The core knows this trait alone: `live` implements it
//! over the host, the tests over memory.

use std::rc::Rc;

use serde_json::Value;

use crate::names;
use crate::session::{Connection, Session};
use crate::settings::Settings;

/// The database is away. The reason was logged; the client is told to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// What the database answers.
pub type Stored<T> = Result<T, Unavailable>;

/// Somebody who is shown in a room.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    pub connection: Connection,
    /// The name.
    pub key: String,
    /// The name as [`names::key`] has it.
    pub name_key: String,
    /// JSON, what others see.
    pub meta: String,
}

impl Person {
    /// Somebody under a name.
    pub fn new(connection: Connection, key: String, meta: String) -> Self {
        let name_key = names::key(&key);
        Self { connection, key, name_key, meta }
    }
}

/// A message that is to be kept.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub room: &'a str,
    /// The same for the same message, should it come twice.
    pub uid: &'a str,
    /// The name of who said it, as [`crate::names::key`] has it.
    pub name_key: &'a str,
    pub account: Option<&'a str>,
    pub origin: &'a str,
    pub at_ms: u64,
    /// What clients get, but for the `id`.
    pub payload: &'a Value,
}

/// How a message was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It has this number in its room.
    New(u64),
    /// It was there before, under this number.
    Again(u64),
}

/// Which messages of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last ones.
    Last,
    /// The first ones behind a number.
    After(u64),
    /// The last ones before a number.
    Before(u64),
}

/// Messages of a room, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Each with its `id`.
    pub messages: Vec<(u64, Value)>,
    /// The number of the room's newest message; 0 without one.
    pub last: u64,
}

/// An account that came with a token once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub key: String,
    pub name: String,
    pub role: String,
}

/// What somebody may no longer do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// To come in.
    Ban,
    /// To say something.
    Mute,
}

impl What {
    /// Its name in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Mute => "mute",
        }
    }
}

/// Whom it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    /// An address, under the keyed hash.
    Origin(String),
    /// An account.
    Account(String),
}

impl Whom {
    /// Its kind in the database, and its value.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Origin(value) => ("origin", value),
            Self::Account(value) => ("account", value),
        }
    }
}

/// A ban or a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sanction {
    pub what: What,
    pub whom: Whom,
    /// The name it was meant for, as [`crate::names::key`] has it.
    pub name_key: String,
    /// `None` does not end.
    pub until_ms: Option<u64>,
    pub reason: String,
    pub made_by: String,
}

/// What is around the chat. What it does to connections is done in order, at once or when the call
/// returns; it cannot fail in a way that the chat could do something about.
pub trait World {
    fn settings(&self) -> Rc<Settings>;
    fn now_ms(&self) -> u64;
    /// Sixteen bytes that nobody can guess; `None` where there are none to be had.
    fn random(&mut self) -> Option<[u8; 16]>;

    fn publish(&mut self, topic: &str, frame: String);
    fn send(&mut self, to: Connection, frame: String);
    fn close(&mut self, connection: Connection, code: u16, reason: &str);
    /// Let a connection hear a topic, from the last so many frames on.
    fn join(&mut self, connection: Connection, topic: &str, recent: u32);
    fn leave(&mut self, connection: Connection, topic: &str);
    fn show(&mut self, connection: Connection, topic: &str, key: &str, meta: &str);
    fn hide(&mut self, connection: Connection, topic: &str);
    /// Who is shown in a topic, with all that was done before.
    fn who(&mut self, topic: &str) -> &[Person];
    /// The session of another connection of this host.
    fn session_of(&self, connection: Connection) -> Option<Session>;

    /// Claim a word for some time; whether nobody else has it. `true` as well where nobody can tell.
    fn claim(&mut self, word: &str, for_ms: u64) -> bool;
    /// Claim it no longer.
    fn release(&mut self, word: &str);

    /// Keep a message, under the next number of its room.
    fn keep(&mut self, draft: &Draft<'_>) -> Stored<Kept>;
    /// At most `most` messages.
    fn page(&mut self, room: &str, span: Span, most: u64) -> Stored<Page>;
    /// Where the last message under a name came from: its origin and account.
    fn last_said(&mut self, name_key: &str) -> Stored<Option<(String, Option<String>)>>;
    fn account(&mut self, key: &str) -> Stored<Option<Account>>;
    fn register(&mut self, account: &Account) -> Stored<()>;
    /// What is in force for somebody. May be some seconds old.
    fn sanction(&mut self, what: What, whom: &Whom) -> Stored<Option<Sanction>>;
    fn impose(&mut self, sanction: &Sanction) -> Stored<()>;
    /// Lift what was meant for a name; how many there were.
    fn lift(&mut self, what: What, name_key: &str) -> Stored<u64>;
    fn played(&mut self, track: &str) -> Stored<()>;

    /// Hand a message on to where else it is read.
    fn bridge(&mut self, room: &str, message: &Value);
}
