//! Playing tracks in real time, where nobody is live: a job that is run a few times a second.
//!
//! What is played lies in the key-value store, so a swap changes nothing. Each run writes what it is
//! about to send before it sends it, and only where nobody else wrote meanwhile: of several hosts
//! that run it at once, one sends each piece.

mod deck;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use trellis_sdk::{blobs, channels, job::Job, log, metrics};

use crate::clock::now_ms;
use crate::format::Parser;
use crate::live::Live;
use crate::mount::{self, Mount, Record};
use crate::program::{self, Show};
use crate::settings::{self, Settings};
use crate::store::{self, Store};
use crate::{air, now, recording, track};
pub use deck::Deck;
use deck::{Crate, Due, Playing};

/// Mounts whose players this instance has told what plays. The host forgets it when it stops.
static TOLD: Mutex<Option<HashSet<String>>> = Mutex::new(None);

impl Deck {
    /// That of a mount.
    pub fn of(mount: &Mount) -> store::Result<Self> {
        Ok(store::get(Store::Play, mount.name())?.unwrap_or_default())
    }
}

/// The jobs: to play, and now and then to make room for recordings.
pub fn run(job: Job) -> Result<(), String> {
    let settings = settings::get().as_ref()?;
    if job.name == "tidy" {
        return recording::drop_oldest(settings.recordings_bytes);
    }
    let shows = program::shows().map_err(|error| error.to_string())?;
    let mut failed = None;
    for mount in mount::all().map_err(|error| error.to_string())? {
        // What is wrong with one is no reason to let the others fall silent.
        if let Err(error) = attend(&mount, &shows, settings) {
            failed = Some(format!("{}: {error}", mount.name()));
        }
    }
    failed.map_or(Ok(()), Err)
}

fn attend(mount: &Mount, shows: &[Show], settings: &Settings) -> Result<(), String> {
    let text = |error: store::Error| error.to_string();
    let listeners = channels::listeners(&mount.channel());
    metrics::gauge("radio_listeners", &[("mount", mount.name())], f64::from(listeners));
    now::count(mount, listeners).map_err(text)?;
    let (now_ms, live) = (now_ms(), Live::of(mount).map_err(text)?);
    if live.as_ref().is_some_and(|live| live.is_heard(now_ms, settings)) {
        return Ok(());
    }
    let Some(record) = mount.record().map_err(text)? else { return Ok(()) };
    let before = store::raw(Store::Play, mount.name()).map_err(text)?;
    let mut deck: Deck = store::read(before.as_deref()).unwrap_or_default();
    let is_new = turn(&mut deck, program::show_on(shows, mount, now_ms));
    remind(mount, &mut deck, now_ms);
    if deck.is_ahead(now_ms) && !is_new {
        return Ok(());
    }
    let was_heard = deck.is_heard(now_ms);
    if let Some(live) = live {
        deck.interrupt(live.until_ms());
    }
    let mut tracks = Tracks { mount, record: &record, shows, now_ms };
    let (due, end) = deck.play(now_ms, &mut tracks);
    if !due.is_empty()
        && store::swap(Store::Play, mount.name(), before.as_deref(), &deck).map_err(text)?
    {
        send(mount, due, now_ms, !was_heard);
    }
    end
}

/// Let the deck follow the shows; whether what played is over for that.
fn turn(deck: &mut Deck, show: Option<&Show>) -> bool {
    let on = show.map(Show::id).filter(|id| deck.through.as_ref() != Some(id));
    if deck.show.as_ref().map(|(id, _)| id) == on.as_ref() {
        return false;
    }
    deck.show = on.map(|id| (id, 0));
    deck.track = None;
    true
}

/// What this instance does when it first plays in a mount: the host may have started in the middle
/// of a track, and then players know no title, and who comes finds nothing to begin with.
fn remind(mount: &Mount, deck: &mut Deck, now_ms: u64) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if !told.get_or_insert_default().insert(mount.name().to_owned()) {
        return;
    }
    if let Some(track) = &deck.track {
        now::tell(mount, &track.title);
    }
    if channels::recent(&mount.channel(), 1).is_empty() {
        deck.begin_early(now_ms);
    }
}

fn send(mount: &Mount, due: Vec<Due>, now_ms: u64, mut begins: bool) {
    for due in due {
        match due {
            Due::Title(title) => now::announce(mount, &title, now_ms, std::mem::take(&mut begins)),
            Due::Frame(frame) => air::send(mount, frame),
        }
    }
}

/// The tracks of a mount.
struct Tracks<'a> {
    mount: &'a Mount,
    record: &'a Record,
    shows: &'a [Show],
    now_ms: u64,
}

impl Crate for Tracks<'_> {
    fn next(&mut self, deck: &mut Deck) -> Result<Option<Playing>, String> {
        let text = |error: store::Error| error.to_string();
        if let Some((id, place)) = &mut deck.show {
            let show = self.shows.iter().find(|show| show.id() == *id);
            let names = show.map(|show| show.tracks.as_slice()).unwrap_or_default();
            if let Some((at, name, track)) =
                program::first(names, *place, self.record).map_err(text)?
            {
                *place = at;
                return Ok(Some(self.playing(name, &track)));
            }
            deck.through = deck.show.take().map(|(id, _)| id);
        }
        let names = program::playlist(self.mount, self.record.format).map_err(text)?;
        let mut found = program::first(&names, deck.place, self.record).map_err(text)?;
        if found.is_none() {
            found = program::first(&names, 0, self.record).map_err(text)?;
        }
        Ok(found.map(|(place, name, track)| {
            deck.place = place;
            self.playing(name, &track)
        }))
    }

    fn read(&mut self, blob: &str, offset: u64) -> Result<Option<Vec<u8>>, String> {
        let length = u32::try_from(deck::CHUNK).unwrap_or(u32::MAX);
        blobs::read(track::CONTAINER, blob, offset, length).map_err(|error| error.to_string())
    }
}

impl Tracks<'_> {
    fn playing(&self, name: String, track: &track::Track) -> Playing {
        log::debug(format_args!("{} plays {name}", self.mount.name()));
        if let (None, Some(codec)) = (self.record.codec, track.codec)
            && let Err(error) = self
                .mount
                .change(track.format, |record| record.codec = record.codec.or(Some(codec)))
        {
            log::warn(error);
        }
        let title = track.title(&name);
        // The clock, and the name for tracks that begin in one run, make numbers that no stream
        // before had.
        let serial =
            name.bytes().fold(self.now_ms as u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
        let parser = Parser::new(track.format, self.record.codec.or(track.codec), serial);
        Playing::new(name, title, track.blob.clone(), parser)
    }
}
