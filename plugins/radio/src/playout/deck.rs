//! Where the playing of tracks is in one mount, and what is due. Nothing here knows the host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::format::{Frame, MAX_PIECE, Packer, Parser, What};

/// What is sent ahead of the clock: at least so much after a run, when less is left.
const LEFT: Duration = Duration::from_millis(500);
const AHEAD: Duration = Duration::from_millis(1000);
/// After a pause so much is made up for: a player has it in its buffer, and who comes gets it first.
const MADE_UP: Duration = Duration::from_secs(4);
/// Nobody is that far ahead: the clock was set back.
const FAR: Duration = Duration::from_secs(60);
/// A run sends no more bytes than this, whatever a track says of its length.
const MOST: usize = 1 << 20;
/// So much of a track is read at a time: enough for the largest piece.
pub const CHUNK: usize = MAX_PIECE + 16 * 1024;
/// So many tracks without sound in a row are given up on until the next run.
const TRIES: u32 = 20;

/// Where the playing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deck {
    /// The place in the playlist.
    pub place: usize,
    /// The show that is on, by its id, and the place in it.
    pub show: Option<(String, usize)>,
    /// The show whose tracks are through.
    pub through: Option<String>,
    /// The track that plays.
    pub track: Option<Playing>,
    /// Up to when there is sound, in nanoseconds since 1970.
    pub due_ns: u64,
}

/// A track that plays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Playing {
    /// Its name.
    pub name: String,
    /// What players show.
    pub title: String,
    /// Where its bytes are, and how many are done.
    pub blob: String,
    offset: u64,
    parser: Parser,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub enum Due {
    /// From here on this plays.
    Title(String),
    /// To listeners.
    Frame(Frame),
}

/// Where tracks come from.
pub trait Crate {
    /// The next track; `None`: there is none.
    fn next(&mut self, deck: &mut Deck) -> Result<Option<Playing>, String>;
    /// [`CHUNK`] bytes of a blob from an offset on, fewer at its end; `None`: there is none.
    fn read(&mut self, blob: &str, offset: u64) -> Result<Option<Vec<u8>>, String>;
}

impl Playing {
    /// A track from its beginning.
    pub fn new(name: String, title: String, blob: String, parser: Parser) -> Self {
        Self { name, title, blob, offset: 0, parser }
    }
}

impl Deck {
    /// Whether there is enough sound for now.
    pub fn is_ahead(&self, now_ms: u64) -> bool {
        self.due_ns > nanos(now_ms) + as_nanos(LEFT) && !self.is_lost(now_ms)
    }

    /// Whether it is further ahead than it can be.
    fn is_lost(&self, now_ms: u64) -> bool {
        self.due_ns > nanos(now_ms) + as_nanos(FAR)
    }

    /// Whether listeners hear it.
    pub fn is_heard(&self, now_ms: u64) -> bool {
        self.due_ns + 2_000_000_000 >= nanos(now_ms)
    }

    /// The next track is due.
    pub fn skip(&mut self) {
        self.track = None;
        match &mut self.show {
            Some((_, place)) => *place += 1,
            None => self.place += 1,
        }
    }

    /// Something else was heard until then: what played is not gone on with.
    pub fn interrupt(&mut self, until_ms: u64) {
        if nanos(until_ms) > self.due_ns {
            if self.track.is_some() {
                self.skip();
            }
            self.due_ns = nanos(until_ms);
        }
    }

    /// Nobody has heard anything: so much is sent at once that a player has something to begin with.
    pub fn begin_early(&mut self, now_ms: u64) {
        self.due_ns = self.due_ns.min(nanos(now_ms).saturating_sub(as_nanos(MADE_UP)));
    }

    /// What is due until a moment from now. After an error it is what came before.
    pub fn play(&mut self, now_ms: u64, tracks: &mut dyn Crate) -> (Vec<Due>, Result<(), String>) {
        if self.is_lost(now_ms) {
            self.due_ns = nanos(now_ms);
        }
        self.due_ns = self.due_ns.max(nanos(now_ms).saturating_sub(as_nanos(MADE_UP)));
        let until_ns = nanos(now_ms) + as_nanos(AHEAD);
        let mut run = Run {
            until_ns,
            bytes: 0,
            packer: Packer::default(),
            frames: Vec::new(),
            due: Vec::new(),
        };
        let end = run.fill(self, tracks);
        run.packer.flush(&mut run.frames);
        run.hand_over();
        (run.due, end)
    }
}

/// One run.
struct Run {
    until_ns: u64,
    bytes: usize,
    packer: Packer,
    frames: Vec<Frame>,
    due: Vec<Due>,
}

impl Run {
    fn fill(&mut self, deck: &mut Deck, tracks: &mut dyn Crate) -> Result<(), String> {
        let mut tries = 0;
        while deck.due_ns < self.until_ns && self.bytes < MOST && tries < TRIES {
            if deck.track.is_none() {
                tries += 1;
                deck.track = tracks.next(deck)?;
                let Some(track) = &deck.track else { break };
                self.packer.flush(&mut self.frames);
                self.hand_over();
                self.due.push(Due::Title(track.title.clone()));
            }
            let Some(track) = &mut deck.track else { break };
            let chunk = tracks.read(&track.blob, track.offset)?.unwrap_or_default();
            let before_ns = deck.due_ns;
            let is_over = self.send(track, &chunk, &mut deck.due_ns);
            if deck.due_ns > before_ns {
                tries = 0;
            }
            if is_over {
                deck.skip();
            }
        }
        Ok(())
    }

    /// Send what is due of a chunk; whether the track is over.
    fn send(&mut self, track: &mut Playing, chunk: &[u8], due_ns: &mut u64) -> bool {
        let (mut at, mut piece) = (0, Vec::new());
        let is_over = loop {
            if *due_ns >= self.until_ns || self.bytes >= MOST {
                break false;
            }
            match track.parser.step(chunk.get(at..).unwrap_or_default(), &mut piece) {
                // The rest of a whole chunk is looked at again with what follows it.
                Ok(None) => break at == 0 || chunk.len() < CHUNK,
                Err(_) => break true,
                Ok(Some(step)) => {
                    at += step.used;
                    self.bytes += piece.len();
                    match step.what {
                        What::Sound(lasts) => {
                            self.packer.sound(&piece, lasts, &mut self.frames);
                            *due_ns += as_nanos(lasts);
                        }
                        What::Headers(headers) => {
                            self.packer.headers(headers.pages, &mut self.frames)
                        }
                        What::Nothing => {}
                    }
                    piece.clear();
                }
            }
        };
        track.offset += at as u64;
        is_over
    }

    fn hand_over(&mut self) {
        self.due.extend(self.frames.drain(..).map(Due::Frame));
    }
}

fn nanos(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
