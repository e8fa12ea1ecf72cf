//! A world in memory, with clients that speak Phoenix.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::access;
use crate::limits::Pace;
use crate::session::{Connection, Session};
use crate::settings::Settings;
use crate::socket;
use crate::world::*;

pub const SECRET: &str = "a secret of the house, long enough";
pub const LOBBY: &str = "rooms:lobby";

pub struct Message {
    room: String,
    id: u64,
    uid: String,
    name_key: String,
    account: Option<String>,
    origin: String,
    payload: Value,
}

pub struct Memory {
    pub now_ms: u64,
    pub sessions: BTreeMap<Connection, Session>,
    /// What each client got.
    pub inbox: HashMap<Connection, Vec<Value>>,
    pub closed: Vec<(Connection, u16)>,
    pub bridged: Vec<Value>,
    pub plays: HashMap<String, u64>,
    pub sanctions: Vec<Sanction>,
    pub messages: Vec<Message>,
    /// The database is away.
    pub is_down: bool,
    joined: HashSet<(Connection, String)>,
    shown: HashMap<String, Vec<Person>>,
    claims: HashMap<String, u64>,
    accounts: HashMap<String, Account>,
    settings: Rc<Settings>,
    counter: u64,
}

impl Memory {
    pub fn new() -> Self {
        let settings = Settings {
            rooms: vec![LOBBY.to_owned()],
            reserved: vec!["admin".to_owned()],
            messages: Pace { burst: 5, every_ms: 1000 },
            jwt_secret: Some(SECRET.as_bytes().to_vec()),
            webhook: None,
        };
        Self {
            now_ms: 1_700_000_000_000,
            sessions: BTreeMap::new(),
            inbox: HashMap::new(),
            closed: Vec::new(),
            bridged: Vec::new(),
            plays: HashMap::new(),
            sanctions: Vec::new(),
            messages: Vec::new(),
            is_down: false,
            joined: HashSet::new(),
            shown: HashMap::new(),
            claims: HashMap::new(),
            accounts: HashMap::new(),
            settings: Rc::new(settings),
            counter: 0,
        }
    }

    /// A client that connected from an address.
    pub fn connect(&mut self, origin: &str) -> Connection {
        self.counter += 1;
        let connection = self.counter;
        let key = format!("key{connection}");
        self.sessions.insert(connection, Session::new(key, origin.to_owned(), None));
        connection
    }

    /// One that is in the lobby besides.
    pub fn enter(&mut self, origin: &str) -> Connection {
        let connection = self.connect(origin);
        assert_eq!(self.ask(connection, LOBBY, "phx_join", json!({}))["status"], "ok");
        connection
    }

    /// One that has a name besides.
    pub fn named(&mut self, origin: &str, name: &str) -> Connection {
        let connection = self.enter(origin);
        let answer = self.ask(connection, LOBBY, "authorize", json!({"user": name}));
        assert_eq!(answer["status"], "ok", "{answer}");
        self.inbox.clear();
        connection
    }

    /// One that proved its name and a role besides.
    pub fn member(&mut self, origin: &str, name: &str, role: &str) -> Connection {
        let connection = self.enter(origin);
        let payload = json!({"user": name, "token": self.token(name, role)});
        let answer = self.ask(connection, LOBBY, "authorize_token", payload);
        assert_eq!(answer["status"], "ok", "{answer}");
        self.inbox.clear();
        connection
    }

    pub fn token(&self, name: &str, role: &str) -> String {
        let exp = self.now_ms / 1000 + 3600;
        access::sign(&json!({"username": name, "exp": exp, "role": role}), SECRET)
    }

    /// A text from a client, as the host hands it over.
    pub fn receive(&mut self, connection: Connection, text: &str) {
        let mut session = self.sessions.remove(&connection).unwrap_or_default();
        socket::message(self, connection, &mut session, text);
        // What the host keeps is the tag.
        let tag = session.tag();
        assert!(tag.len() <= 4096, "{}", tag.len());
        self.sessions.insert(connection, Session::read(&tag).unwrap());
    }

    /// A frame, and the payload of its answer; null without one.
    pub fn ask(&mut self, from: Connection, topic: &str, event: &str, payload: Value) -> Value {
        self.counter += 1;
        let reference = format!("r{}", self.counter);
        let join_ref = match event {
            "phx_join" => json!(reference),
            _ => Value::Null,
        };
        self.receive(from, &json!([join_ref, reference, topic, event, payload]).to_string());
        let inbox = self.inbox.get(&from).cloned().unwrap_or_default();
        let answer = inbox.into_iter().find(|f| f[1] == json!(reference) && f[3] == "phx_reply");
        answer.map_or(Value::Null, |frame| frame[4].clone())
    }

    /// The same, for what is to be refused: the reason.
    pub fn refusal(&mut self, from: Connection, event: &str, payload: Value) -> String {
        let answer = self.ask(from, LOBBY, event, payload);
        assert_eq!(answer["status"], "error", "{answer}");
        answer["response"]["reason"].as_str().unwrap().to_owned()
    }

    pub fn say(&mut self, from: Connection, name: &str, body: &str) -> Value {
        self.ask(from, LOBBY, "new:msg", json!({"user": name, "body": body}))
    }

    /// The payloads of an event that a client got.
    pub fn got(&self, connection: Connection, event: &str) -> Vec<Value> {
        let inbox = self.inbox.get(&connection).into_iter().flatten();
        inbox.filter(|frame| frame[3] == event).map(|frame| frame[4].clone()).collect()
    }

    /// The connection ends, as the host tells it.
    pub fn end(&mut self, connection: Connection) {
        self.shown.values_mut().for_each(|all| all.retain(|p| p.connection != connection));
        self.joined.retain(|(joined, _)| *joined != connection);
        let mut session = self.sessions.remove(&connection).unwrap();
        socket::closed(self, connection, &mut session);
    }

    fn up(&self) -> Stored<()> {
        if self.is_down { Err(Unavailable) } else { Ok(()) }
    }
}

impl World for Memory {
    fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings)
    }

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn random(&mut self) -> Option<[u8; 16]> {
        self.counter += 1;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.counter.to_le_bytes());
        Some(bytes)
    }

    fn publish(&mut self, topic: &str, frame: String) {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        for (connection, _) in self.joined.iter().filter(|(_, of)| of == topic) {
            self.inbox.entry(*connection).or_default().push(frame.clone());
        }
    }

    fn send(&mut self, to: Connection, frame: String) {
        self.inbox.entry(to).or_default().push(serde_json::from_str(&frame).unwrap());
    }

    fn close(&mut self, connection: Connection, code: u16, _reason: &str) {
        self.closed.push((connection, code));
    }

    fn join(&mut self, connection: Connection, topic: &str, _recent: u32) {
        self.joined.insert((connection, topic.to_owned()));
    }

    fn leave(&mut self, connection: Connection, topic: &str) {
        self.joined.remove(&(connection, topic.to_owned()));
    }

    fn show(&mut self, connection: Connection, topic: &str, key: &str, meta: &str) {
        assert!(key.len() <= 255 && meta.len() <= 4096);
        self.hide(connection, topic);
        let person = Person::new(connection, key.to_owned(), meta.to_owned());
        self.shown.entry(topic.to_owned()).or_default().push(person);
    }

    fn hide(&mut self, connection: Connection, topic: &str) {
        let people = self.shown.entry(topic.to_owned()).or_default();
        people.retain(|person| person.connection != connection);
    }

    fn who(&mut self, topic: &str) -> &[Person] {
        self.shown.entry(topic.to_owned()).or_default()
    }

    fn session_of(&self, connection: Connection) -> Option<Session> {
        self.sessions.get(&connection).cloned()
    }

    fn claim(&mut self, word: &str, for_ms: u64) -> bool {
        let is_free = self.claims.get(word).is_none_or(|until| *until <= self.now_ms);
        if is_free {
            self.claims.insert(word.to_owned(), self.now_ms + for_ms);
        }
        is_free
    }

    fn release(&mut self, word: &str) {
        self.claims.remove(word);
    }

    fn keep(&mut self, draft: &Draft<'_>) -> Stored<Kept> {
        self.up()?;
        if let Some(old) = self.messages.iter().find(|m| m.room == draft.room && m.uid == draft.uid)
        {
            return Ok(Kept::Again(old.id));
        }
        let id = self.messages.len() as u64 + 1;
        self.messages.push(Message {
            room: draft.room.to_owned(),
            id,
            uid: draft.uid.to_owned(),
            name_key: draft.name_key.to_owned(),
            account: draft.account.map(str::to_owned),
            origin: draft.origin.to_owned(),
            payload: draft.payload.clone(),
        });
        Ok(Kept::New(id))
    }

    fn page(&mut self, room: &str, span: Span, most: u64) -> Stored<Page> {
        self.up()?;
        let of_room = self.messages.iter().filter(|m| m.room == room);
        let all: Vec<_> = of_room.map(|m| (m.id, m.payload.clone())).collect();
        let last = all.last().map_or(0, |(id, _)| *id);
        let most = most as usize;
        let end = |list: Vec<(u64, Value)>| list[list.len().saturating_sub(most)..].to_vec();
        let messages = match span {
            Span::Last => end(all),
            Span::After(from) => all.into_iter().filter(|(id, _)| *id > from).take(most).collect(),
            Span::Before(to) => end(all.into_iter().filter(|(id, _)| *id < to).collect()),
        };
        Ok(Page { messages, last })
    }

    fn last_said(&mut self, name_key: &str) -> Stored<Option<(String, Option<String>)>> {
        self.up()?;
        let last = self.messages.iter().rev().find(|m| m.name_key == name_key);
        Ok(last.map(|m| (m.origin.clone(), m.account.clone())))
    }

    fn account(&mut self, key: &str) -> Stored<Option<Account>> {
        self.up()?;
        Ok(self.accounts.get(key).cloned())
    }

    fn register(&mut self, account: &Account) -> Stored<()> {
        self.up()?;
        self.accounts.insert(account.key.clone(), account.clone());
        Ok(())
    }

    fn sanction(&mut self, what: What, whom: &Whom) -> Stored<Option<Sanction>> {
        self.up()?;
        let now = self.now_ms;
        let mut all = self.sanctions.iter();
        let found = all.find(|s| {
            s.what == what && s.whom == *whom && s.until_ms.is_none_or(|until| until > now)
        });
        Ok(found.cloned())
    }

    fn impose(&mut self, sanction: &Sanction) -> Stored<()> {
        self.up()?;
        self.sanctions.push(sanction.clone());
        Ok(())
    }

    fn lift(&mut self, what: What, name_key: &str) -> Stored<u64> {
        self.up()?;
        let before = self.sanctions.len();
        self.sanctions.retain(|s| s.what != what || s.name_key != name_key);
        Ok((before - self.sanctions.len()) as u64)
    }

    fn played(&mut self, track: &str) -> Stored<()> {
        self.up()?;
        *self.plays.entry(track.to_owned()).or_default() += 1;
        Ok(())
    }

    fn bridge(&mut self, _room: &str, message: &Value) {
        self.bridged.push(message.clone());
    }
}
