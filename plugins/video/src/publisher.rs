//! A connection of a publisher: who may publish what, and until when.

use serde::{Deserialize, Serialize};
use trellis_sdk::log;
use trellis_sdk::socket::Reply;

use crate::door::{Door, Entry};
use crate::live::{Live, Refused};
use crate::media;
use crate::names::Name;
use crate::rtmp::{Event, Session, Tag};
use crate::settings::Settings;
use crate::shelf::Shelf;

/// A client has so long until it publishes. Encoders take less than a second.
const HEAD_MS: u64 = 10_000;
/// One that publishes may send nothing for so long.
const SILENT_MS: u64 = 20_000;
/// So long after it began to publish there is something to see.
const SHOWN_MS: u64 = 30_000;
/// How often it is looked after.
const TICK_MS: u32 = 1_000;

/// RTMP's names of how publishing went.
const BAD_NAME: &str = "NetStream.Publish.BadName";
const REJECTED: &str = "NetStream.Publish.Rejected";

/// One connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct Publisher {
    session: Session,
    ip: String,
    /// When it came, and later when it began to publish.
    since_ms: u64,
    /// When it last sent something.
    heard_ms: u64,
    live: Option<Live>,
}

/// Why a connection is closed, with the status that a publisher is told before.
#[derive(Debug, PartialEq, Eq)]
struct Close {
    code: Option<&'static str>,
    reason: String,
}

impl Close {
    fn quietly(reason: impl Into<String>) -> Self {
        Self { code: None, reason: reason.into() }
    }

    fn saying(code: &'static str, reason: impl Into<String>) -> Self {
        Self { code: Some(code), reason: reason.into() }
    }
}

impl From<Refused> for Close {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Taken(reason) => Self::saying(BAD_NAME, reason),
            Refused::Unfit(reason) => Self::saying(REJECTED, reason),
        }
    }
}

/// What a connection is handled with.
pub struct House<'a, S> {
    /// Where streams are kept.
    pub shelf: &'a mut S,
    /// What the operator decides.
    pub settings: &'a Settings,
    /// Lets an address try a key.
    pub door: Door<'a>,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

impl Publisher {
    /// Somebody came from an address.
    pub fn new(ip: String, now_ms: u64) -> (Self, Reply) {
        let session = Session::default();
        let publisher = Self { session, ip, since_ms: now_ms, heard_ms: now_ms, live: None };
        (publisher, Reply::nothing().wake(TICK_MS))
    }

    /// It sent these bytes.
    pub fn hear<S: Shelf>(&mut self, house: &mut House<'_, S>, mut bytes: &[u8]) -> Reply {
        self.heard_ms = house.now_ms;
        let mut out = Vec::new();
        let closed = loop {
            match self.session.next(&mut bytes, &mut out) {
                Ok(None) => break None,
                Ok(Some(event)) => {
                    if let Err(close) = self.handle(house, event, &mut out) {
                        break Some(close);
                    }
                }
                Err(broken) => break Some(Close::quietly(broken.0)),
            }
        };
        self.reply(house, out, closed)
    }

    /// A moment has passed.
    pub fn tick<S: Shelf>(&mut self, house: &mut House<'_, S>) -> Reply {
        let closed = self.look(house).err();
        self.reply(house, Vec::new(), closed).wake(TICK_MS)
    }

    /// The connection has ended.
    pub fn end<S: Shelf>(&mut self, house: &mut House<'_, S>, reason: &str) {
        let Some(live) = self.live.take() else { return };
        let seconds = house.now_ms.saturating_sub(self.since_ms) / 1000;
        let path = live.name().path();
        log::info(format_args!("{path} was published for {seconds} s: {reason}"));
        live.end(house.shelf, house.now_ms);
    }

    fn reply<S: Shelf>(
        &mut self,
        house: &mut House<'_, S>,
        mut out: Vec<u8>,
        closed: Option<Close>,
    ) -> Reply {
        let Some(Close { code, reason }) = closed else { return Reply::send(out) };
        if let Some(code) = code {
            self.session.refuse(&mut out, code, &reason);
        }
        if self.live.is_none() {
            log::info(format_args!("{} was sent away: {reason}", self.ip));
        }
        self.end(house, &reason);
        Reply::send(out).close(reason)
    }

    fn handle<S: Shelf>(
        &mut self,
        house: &mut House<'_, S>,
        event: Event,
        out: &mut Vec<u8>,
    ) -> Result<(), Close> {
        let (timestamp, packet) = match &event {
            Event::Publish { app, name } => return self.publish(house, app, name, out),
            Event::Ended => return Err(Close::quietly("the publisher ended")),
            Event::Video(Tag { timestamp, body }) => (*timestamp, media::video(body)),
            Event::Audio(Tag { timestamp, body }) => (*timestamp, media::audio(body)),
        };
        let Some(live) = &mut self.live else { return Ok(()) };
        let packet = packet.map_err(|error| Close::saying(REJECTED, error.0))?;
        Ok(live.push(house.shelf, timestamp, packet, house.now_ms)?)
    }

    fn publish<S: Shelf>(
        &mut self,
        house: &mut House<'_, S>,
        app: &str,
        wanted: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Close> {
        let app = app.trim_end_matches('/');
        if !house.settings.apps.iter().any(|there| there == app) {
            let apps = house.settings.apps.join(", ");
            return Err(Close::saying(
                BAD_NAME,
                format!("publish to one of the applications {apps}"),
            ));
        }
        let (name, query) = wanted.split_once('?').unwrap_or((wanted, ""));
        let Some(name) = Name::new(app, name) else {
            let reason = "a stream's name has 1 to 64 letters, digits, `-` and `_`";
            return Err(Close::saying(BAD_NAME, reason));
        };
        let is_right = || keys(query).any(|key| house.settings.publishers.may(&name, &key));
        let reason = match (house.door)(&self.ip, &is_right) {
            Entry::Open => {
                let live = Live::begin(house.shelf, house.settings, name, house.now_ms)?;
                log::info(format_args!("{} publishes {}", self.ip, live.name().path()));
                self.session.accept(out);
                self.live = Some(live);
                self.since_ms = house.now_ms;
                return Ok(());
            }
            Entry::Closed => "the key is wrong or missing: publish to NAME?key=KEY",
            Entry::TooMany => "there were too many wrong keys: try again in a minute",
            Entry::Unknown => "keys cannot be checked right now: try again in a while",
        };
        Err(Close::saying(REJECTED, reason))
    }

    fn look<S: Shelf>(&mut self, house: &mut House<'_, S>) -> Result<(), Close> {
        let passed = |since_ms: u64, most_ms| house.now_ms >= since_ms.saturating_add(most_ms);
        let Some(live) = &mut self.live else {
            return match passed(self.since_ms, HEAD_MS) {
                true => Err(Close::quietly("nothing was published within 10 s")),
                false => Ok(()),
            };
        };
        if passed(self.heard_ms, SILENT_MS) {
            return Err(Close::quietly("nothing came for 20 s"));
        }
        if !live.is_shown() && passed(self.since_ms, SHOWN_MS) {
            let reason =
                "no key frame came within 30 s: send H.264 with one every 2 s, or AAC alone";
            return Err(Close::saying(REJECTED, reason));
        }
        Ok(live.renew(house.shelf, house.now_ms)?)
    }
}

/// The keys in a query, each as it stands there and decoded: some have a `+` or a `%` in them.
fn keys(query: &str) -> impl Iterator<Item = String> {
    let plain = query.split('&').filter_map(|pair| pair.strip_prefix("key=")).map(str::to_owned);
    let decoded = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "key")
        .map(|(_, value)| value.into_owned());
    // Nobody has so many; each costs a comparison with every publisher's.
    plain.take(2).chain(decoded.take(2))
}

#[cfg(test)]
mod tests;
