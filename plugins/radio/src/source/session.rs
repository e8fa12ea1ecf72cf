//! A source that plays.

use serde::{Deserialize, Serialize};
use trellis_sdk::channels::Connection;
use trellis_sdk::log;

use crate::clock::ms;
use crate::format::{Codec, Format, Frame, Tags};
use crate::live::{self, BEAT_MS, Live};
use crate::mount::{Mount, Record};
use crate::now;
use crate::recording::{Recorder, Recording};
use crate::settings::{self, Settings};
use crate::store::{self, Store};

use super::answer::Answer;
use super::ask::Wish;
use super::feed::{End, Feed, Heard};

/// What comes first is held back for so long: a run of the playout that began before may still
/// send, and two at once in a channel are noise.
const HOLD_MS: u64 = 300;

/// A source that plays in a mount.
#[derive(Serialize, Deserialize)]
pub struct Session {
    mount: Mount,
    format: Format,
    dj: String,
    connection: Connection,
    since_ms: u64,
    feed: Feed,
    held: Option<Held>,
    /// When the store was last told, and when something was last heard.
    beat_ms: u64,
    heard_ms: u64,
    recorder: Option<Recorder>,
}

/// Frames that wait until then.
#[derive(Serialize, Deserialize)]
struct Held {
    frames: Vec<Frame>,
    until_ms: u64,
}

/// With what a session begins.
pub struct Beginning<'a> {
    /// Who plays.
    pub dj: &'a str,
    /// Over which connection.
    pub connection: Connection,
    /// Since when.
    pub now_ms: u64,
    /// The recording that it goes on with.
    pub recording: Option<String>,
}

/// What is to happen next.
pub enum Next {
    /// More comes.
    More,
    /// Wake it so many milliseconds from now.
    Wake(u32),
    /// It is over.
    End(Answer),
}

impl Session {
    /// One that was let in.
    pub fn new(wish: Wish, record: &Record, begins: Beginning<'_>, settings: &Settings) -> Self {
        let Beginning { dj, connection, now_ms, recording } = begins;
        let Wish { mount, format, body, .. } = wish;
        let recorder = settings.records.then(|| {
            let new = Recording {
                mount: mount.clone(),
                dj: dj.to_owned(),
                format,
                codec: record.codec,
                began_ms: now_ms,
                lasts_ms: 0,
            };
            let begun = Recorder::begin(recording, &new);
            begun
                .inspect_err(|error| log::error(format_args!("{dj} is not recorded: {error}")))
                .ok()
        });
        // The clock makes numbers that no earlier stream of this channel had.
        let feed = Feed::new(body, format, record.codec, now_ms as u32, now_ms);
        let held = Some(Held { frames: Vec::new(), until_ms: now_ms + HOLD_MS });
        Self {
            mount,
            format,
            dj: dj.to_owned(),
            connection,
            since_ms: now_ms,
            feed,
            held,
            beat_ms: 0,
            heard_ms: now_ms,
            recorder: recorder.flatten(),
        }
    }

    /// Bytes have come.
    pub fn hear(&mut self, bytes: &[u8], now_ms: u64) -> Next {
        let silence = settings::get().as_ref().map_or(u64::MAX, |settings| ms(settings.silence));
        let is_back = now_ms.saturating_sub(self.heard_ms) > silence;
        self.heard_ms = now_ms;
        if (is_back || now_ms.saturating_sub(self.beat_ms) >= BEAT_MS) && !self.beat(now_ms) {
            return Next::End(Answer::new(
                409,
                format!("another source plays in {} now", self.mount.name()),
            ));
        }
        if is_back {
            self.come_back(now_ms);
        }
        let mut heard = Vec::new();
        let end = self.feed.push(bytes, now_ms, &mut heard).err();
        for heard in heard {
            match heard {
                Heard::Begins(codec, tags) => self.begin_stream(codec, &tags, now_ms),
                Heard::Frame(frame) => self.emit(frame),
            }
        }
        match end {
            None => self.wake(now_ms),
            Some(end) => Next::End(last(&end)),
        }
    }

    /// Some time has passed.
    pub fn wake(&mut self, now_ms: u64) -> Next {
        match &self.held {
            None => Next::More,
            Some(held) if now_ms < held.until_ms => {
                Next::Wake(u32::try_from(held.until_ms - now_ms).unwrap_or(u32::MAX))
            }
            Some(_) => {
                self.release(now_ms);
                Next::More
            }
        }
    }

    /// It has ended.
    pub fn end(mut self, reason: &str, now_ms: u64) {
        match self.is_on_air(now_ms) {
            true => self.release(now_ms),
            // Something else plays by now: what is left is for the recording alone.
            false => self.held = Some(Held { frames: Vec::new(), until_ms: u64::MAX }),
        }
        if let Some(frame) = self.feed.flush() {
            self.emit(frame);
        }
        // Who was replaced leaves the recording to whoever did.
        let is_last = live::end(&self.mount, self.connection, self.since_ms, now_ms);
        let is_last = is_last.inspect_err(|error| log::error(error)).unwrap_or(false);
        log::info(format_args!("{} is no longer live in {}: {reason}", self.dj, self.mount.name()));
        if let (Some(recorder), Ok(settings)) = (self.recorder.take(), settings::get()) {
            let shortest = if is_last { settings.shortest_recording } else { Default::default() };
            recorder.finish(shortest);
        }
    }

    /// Whether listeners hear it, as far as anybody knows.
    fn is_on_air(&self, now_ms: u64) -> bool {
        let silence = settings::get().as_ref().map_or(u64::MAX, |settings| ms(settings.silence));
        let is_mine = Live::of(&self.mount)
            .map(|live| live.is_some_and(|live| live.is(self.connection, self.since_ms)));
        now_ms.saturating_sub(self.heard_ms) <= silence && is_mine.unwrap_or(true)
    }

    /// Tell the store that it is there; whether it may go on.
    fn beat(&mut self, now_ms: u64) -> bool {
        let recording = self.recorder.as_ref().map(Recorder::key);
        let is_mine = live::beat(&self.mount, self.connection, self.since_ms, now_ms, recording);
        self.beat_ms = now_ms;
        // A store that is away for a moment takes nobody off the air.
        is_mine.inspect_err(|error| log::warn(error)).unwrap_or(true)
    }

    /// Tracks have played meanwhile.
    fn come_back(&mut self, now_ms: u64) {
        self.held.get_or_insert(Held { frames: Vec::new(), until_ms: now_ms + HOLD_MS });
        if let Some(headers) = self.feed.renew() {
            self.emit(headers);
        }
    }

    fn begin_stream(&mut self, codec: Codec, tags: &Tags, now_ms: u64) {
        let known =
            self.mount.change(self.format, |record| record.codec = record.codec.or(Some(codec)));
        if let Err(error) = known {
            log::warn(error);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.carries(codec);
        }
        let song = tags.line();
        if song.is_empty() {
            return;
        }
        let told = store::change(Store::Live, self.mount.name(), |live: Option<Live>| Live {
            song: song.clone(),
            ..live.unwrap_or_default()
        });
        match told {
            // What is held back is told with it.
            Ok(_) if self.held.is_some() => {}
            Ok(live) => now::announce(&self.mount, &live.title(), now_ms, false),
            Err(error) => log::warn(error),
        }
    }

    /// Hand a frame to listeners and to the recording.
    fn emit(&mut self, frame: Frame) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = recorder.add(&frame)
        {
            log::error(format_args!("{} is no longer recorded: {error}", self.dj));
            self.recorder = None;
        }
        match &mut self.held {
            Some(held) => held.frames.push(frame),
            None => crate::air::send(&self.mount, frame),
        }
    }

    /// Let listeners hear what was held back, and tell them what it is.
    fn release(&mut self, now_ms: u64) {
        let Some(held) = self.held.take() else { return };
        let live = Live::of(&self.mount).inspect_err(|error| log::warn(error)).ok().flatten();
        let title = live.map_or_else(|| format!("LIVE -- {}", self.dj), |live| live.title());
        now::announce(&self.mount, &title, now_ms, true);
        for frame in held.frames {
            crate::air::send(&self.mount, frame);
        }
    }
}

/// What a source is told at its end.
fn last(end: &End) -> Answer {
    match end {
        End::Over => Answer::new(200, "thank you"),
        End::Chunks => Answer::new(400, "the chunks of the body are broken"),
        End::Unfit(unfit) => Answer::new(415, unfit.0),
        End::TooFast => Answer::new(
            403,
            "this is a minute ahead of the clock: send as fast as one listens (ffmpeg -re)",
        ),
    }
}
