//! The world as it is: connections, channels, presence and the cache of the host. The database is in
//! `store`.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use trellis_sdk::channels::{self, Start};
use trellis_sdk::producer::{Record, Records};
use trellis_sdk::{cache, log, presence};

use crate::bridge;
use crate::session::{Connection, Session};
use crate::settings::Settings;
use crate::store;
use crate::world::{
    Account, Draft, Kept, Page, Person, Sanction, Span, Stored, Unavailable, What, Whom, World,
};

/// How long it is believed that somebody is not banned. A ban ends the connections that it falls on
/// where it is imposed, and keeps new ones out at once; this is for the other hosts.
const BELIEVED_MS: u64 = 2_000;
/// How many of those are remembered.
const MAX_BELIEVED: usize = 10_000;

thread_local! {
    static SETTINGS: OnceCell<Rc<Settings>> = const { OnceCell::new() };
    /// When it was last seen that somebody is not banned.
    static NOT_BANNED: RefCell<HashMap<Whom, u64>> = RefCell::default();
}

/// The settings of this generation.
pub fn settings() -> Rc<Settings> {
    SETTINGS.with(|settings| Rc::clone(settings.get_or_init(|| Rc::new(Settings::read()))))
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sixteen bytes that nobody can guess.
pub fn random() -> Option<[u8; 16]> {
    #[cfg(target_family = "wasm")]
    return wasip2::random::random::get_random_bytes(16).try_into().ok();
    // Natively nothing asks for them but what has no host to run in.
    #[cfg(not(target_family = "wasm"))]
    None
}

/// Who is shown in which topic, and how; `None`: no longer.
type Shown = (Connection, String, Option<Person>);

/// Do to a list what was done to a topic.
fn apply(people: &mut Vec<Person>, topic: &str, (connection, of, shown): &Shown) {
    if of != topic {
        return;
    }
    let place = people.iter().position(|person| person.connection == *connection);
    match (place, shown) {
        (Some(place), Some(person)) => people[place] = person.clone(),
        (Some(place), None) => drop(people.remove(place)),
        (None, Some(person)) => people.push(person.clone()),
        (None, None) => {}
    }
}

/// The world during one call.
///
/// Within a batch of events nothing is done before the call returns, so what the batch did so far is
/// remembered here: sessions that changed, and who is shown.
pub struct Live {
    settings: Rc<Settings>,
    sessions: HashMap<Connection, (Session, String)>,
    shown: Vec<Shown>,
    /// The topics that somebody asked for: a list is fetched once a call.
    people: HashMap<String, Vec<Person>>,
    bridged: Records,
}

impl Live {
    /// At the beginning of a call.
    pub fn new() -> Self {
        Self {
            settings: settings(),
            sessions: HashMap::new(),
            shown: Vec::new(),
            people: HashMap::new(),
            bridged: Records::new(),
        }
    }

    /// The session of an event, as this call left it or as its tag has it.
    pub fn take(&mut self, connection: Connection, tag: &str) -> Option<(Session, String)> {
        let changed = self.sessions.remove(&connection);
        changed.or_else(|| Some((Session::read(tag)?, tag.to_owned())))
    }

    /// Give the session back, with the tag that the host has.
    pub fn put(&mut self, connection: Connection, session: Session, tag: String) {
        self.sessions.insert(connection, (session, tag));
    }

    fn note(&mut self, shown: Shown) {
        if let Some(people) = self.people.get_mut(&shown.1) {
            apply(people, &shown.1, &shown);
        }
        self.shown.push(shown);
    }

    /// At the end: hand over what changed.
    pub fn finish(&mut self) {
        for (connection, (session, before)) in self.sessions.drain() {
            let tag = session.tag();
            if tag != before {
                done("retag", channels::retag(connection, &tag));
            }
        }
        if let Err(error) = std::mem::take(&mut self.bridged).send() {
            log::warn(format_args!("messages are not on their way to Discord: {error}"));
        }
    }
}

/// What a channel refuses is a mistake of this plugin, or too many channels: it is logged, and the
/// other frames go on.
fn done(what: &str, result: Result<(), channels::Error>) {
    if let Err(error) = result {
        log::error(format_args!("{what}: {error:?}"));
    }
}

impl World for Live {
    fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings)
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }

    fn random(&mut self) -> Option<[u8; 16]> {
        random()
    }

    fn publish(&mut self, topic: &str, frame: String) {
        done("publish", channels::publish(topic, frame));
    }

    fn send(&mut self, to: Connection, frame: String) {
        done("send", channels::send(to, frame));
    }

    fn close(&mut self, connection: Connection, code: u16, reason: &str) {
        done("close", channels::close(connection, code, reason));
    }

    fn join(&mut self, connection: Connection, topic: &str, recent: u32) {
        let start = if recent == 0 { Start::Next } else { Start::Recent(recent) };
        done("join", channels::join(connection, topic, start));
    }

    fn leave(&mut self, connection: Connection, topic: &str) {
        channels::leave(connection, topic);
    }

    fn show(&mut self, connection: Connection, topic: &str, key: &str, meta: &str) {
        done("show", presence::show(connection, topic, key, meta));
        let person = Person::new(connection, key.to_owned(), meta.to_owned());
        self.note((connection, topic.to_owned(), Some(person)));
    }

    fn hide(&mut self, connection: Connection, topic: &str) {
        presence::hide(connection, topic);
        self.note((connection, topic.to_owned(), None));
    }

    fn who(&mut self, topic: &str) -> &[Person] {
        let Self { people, shown, .. } = self;
        people.entry(topic.to_owned()).or_insert_with(|| {
            let person = |at: presence::Shown| Person::new(at.connection, at.key, at.meta);
            let mut people = presence::who(topic).into_iter().map(person).collect();
            shown.iter().for_each(|shown| apply(&mut people, topic, shown));
            people
        })
    }

    fn session_of(&self, connection: Connection) -> Option<Session> {
        match self.sessions.get(&connection) {
            Some((session, _)) => Some(session.clone()),
            None => Session::read(&channels::tag(connection)?),
        }
    }

    fn claim(&mut self, word: &str, for_ms: u64) -> bool {
        // A cache that is away allows: the connection's own bound holds all the same.
        cache::add(word, b"", Duration::from_millis(for_ms)).unwrap_or(true)
    }

    fn release(&mut self, word: &str) {
        // It ends by itself soon.
        let _ = cache::delete(word);
    }

    fn keep(&mut self, draft: &Draft<'_>) -> Stored<Kept> {
        stored(store::keep(draft))
    }

    fn page(&mut self, room: &str, span: Span, most: u64) -> Stored<Page> {
        stored(store::page(room, span, most))
    }

    fn last_said(&mut self, name_key: &str) -> Stored<Option<(String, Option<String>)>> {
        stored(store::last_said(name_key))
    }

    fn account(&mut self, key: &str) -> Stored<Option<Account>> {
        stored(store::account(key))
    }

    fn register(&mut self, account: &Account) -> Stored<()> {
        stored(store::register(account, now_ms()))
    }

    fn sanction(&mut self, what: What, whom: &Whom) -> Stored<Option<Sanction>> {
        if what == What::Mute {
            return stored(store::sanction(what, whom, now_ms()));
        }
        let now = now_ms();
        let is_recent = |seen: &u64| now.saturating_sub(*seen) < BELIEVED_MS;
        if NOT_BANNED.with_borrow(|seen| seen.get(whom).is_some_and(is_recent)) {
            return Ok(None);
        }
        fresh_ban(whom)
    }

    fn impose(&mut self, sanction: &Sanction) -> Stored<()> {
        NOT_BANNED.with_borrow_mut(|seen| seen.remove(&sanction.whom));
        stored(store::impose(sanction, now_ms()))
    }

    fn lift(&mut self, what: What, name_key: &str) -> Stored<u64> {
        stored(store::lift(what, name_key))
    }

    fn played(&mut self, track: &str) -> Stored<()> {
        stored(store::played(track))
    }

    fn bridge(&mut self, room: &str, message: &Value) {
        if self.settings.webhook.is_none() {
            return;
        }
        let record = Record::to(bridge::TOPIC).key(room.as_bytes());
        if let Err(error) = self.bridged.push_json(&record, message) {
            log::error(format_args!("a message cannot be written as JSON: {error}"));
        }
    }
}

/// The ban of somebody, as the database has it now.
pub fn fresh_ban(whom: &Whom) -> Stored<Option<Sanction>> {
    let now = now_ms();
    let ban = stored(store::sanction(What::Ban, whom, now))?;
    NOT_BANNED.with_borrow_mut(|seen| {
        if seen.len() >= MAX_BELIEVED {
            seen.clear();
        }
        match ban {
            Some(_) => seen.remove(whom),
            None => seen.insert(whom.clone(), now),
        }
    });
    Ok(ban)
}

/// The answer of the database; why there is none goes to the log.
pub fn stored<T>(answer: Result<T, store::Fault>) -> Stored<T> {
    answer.map_err(|fault| {
        log::error(format_args!("the database: {fault}"));
        Unavailable
    })
}
