//! A stream that somebody publishes: its segments become files and entries of its playlist.

use serde::{Deserialize, Serialize};
use trellis_sdk::log;

use crate::media::{Made, Packet, Segmenter};
use crate::names::Name;
use crate::playlist::date;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::stream::{Part, Segment, Stream};

/// A publisher says that it is there after so long without a segment.
const RENEW_MS: u64 = 2_000;

/// Why a stream cannot begin or go on: a sentence for its publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Somebody else publishes it.
    Taken(String),
    /// What is sent cannot be passed on.
    Unfit(String),
}

/// What one publisher makes of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub struct Live {
    name: Name,
    session: u64,
    window: usize,
    records: bool,
    segmenter: Segmenter,
    /// When the stream began, by the clock on the wall.
    began_ms: Option<u64>,
    /// The initialisation of the segments to come.
    part: Option<Part>,
    /// The file that is recorded to.
    recording: Option<String>,
    /// Counts the segments.
    segments: u64,
    /// When this was last noted in the store.
    noted_ms: u64,
    /// Whether something came since.
    is_heard: bool,
}

impl Live {
    /// Take a name, if nobody has it.
    pub fn begin(
        shelf: &mut impl Shelf,
        settings: &Settings,
        name: Name,
        now_ms: u64,
    ) -> Result<Self, Refused> {
        let mut session = None;
        let claimed = shelf.change(&name, &mut |stream| {
            session = stream.claim(now_ms).ok().map(|()| stream.session);
            session.is_some()
        });
        claimed.map_err(away)?;
        let Some(session) = session else {
            let path = name.path();
            return Err(Refused::Taken(format!(
                "`{path}` is live already: end that first, or wait 5 seconds if it broke off"
            )));
        };
        Ok(Self {
            session,
            window: settings.window,
            records: settings.record.contains(&name.app),
            name,
            segmenter: Segmenter::new(settings.segment_ms),
            began_ms: None,
            part: None,
            recording: None,
            segments: 0,
            noted_ms: now_ms,
            is_heard: false,
        })
    }

    /// The stream's name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Whether a segment of it is there.
    pub fn is_shown(&self) -> bool {
        self.segments > 0
    }

    /// Take what was published.
    pub fn push(
        &mut self,
        shelf: &mut impl Shelf,
        timestamp: u32,
        packet: Packet<'_>,
        now_ms: u64,
    ) -> Result<(), Refused> {
        self.is_heard = true;
        let made = self.segmenter.push(timestamp, packet, now_ms);
        self.keep(shelf, made.map_err(|error| Refused::Unfit(error.0))?, now_ms)
    }

    /// Say that the publisher is there, if something came of it.
    pub fn renew(&mut self, shelf: &mut impl Shelf, now_ms: u64) -> Result<(), Refused> {
        if !self.is_heard || now_ms < self.noted_ms.saturating_add(RENEW_MS) {
            return Ok(());
        }
        self.note(shelf, now_ms, |_| ())
    }

    /// The publisher has left, or is sent away.
    pub fn end(mut self, shelf: &mut impl Shelf, now_ms: u64) {
        if let Ok(made) = self.segmenter.finish() {
            // Whoever took the name over has the stream now.
            let _ = self.keep(shelf, made, now_ms);
        }
        let _ = self.note(shelf, now_ms, |stream| stream.ended_ms = Some(now_ms));
    }

    fn keep(
        &mut self,
        shelf: &mut impl Shelf,
        made: Vec<Made>,
        now_ms: u64,
    ) -> Result<(), Refused> {
        for made in made {
            match made {
                Made::Part(part) => self.keep_part(shelf, part, now_ms),
                Made::Segment(segment) => self.keep_segment(shelf, segment, now_ms)?,
            }
        }
        Ok(())
    }

    fn keep_part(&mut self, shelf: &mut impl Shelf, part: crate::media::Part, now_ms: u64) {
        let file = format!("init-{}-{}.mp4", self.session, part.number);
        if let Err(error) = shelf.put(&self.name, &file, &part.bytes) {
            self.lament("an initialisation was not kept", &error);
        }
        // A file has one initialisation, so other parameters begin another recording.
        if self.records {
            // Several may begin at one time.
            let time = date(now_ms).replace([':', '.'], "-");
            let file = format!("{time}-{}.mp4", part.number);
            let begun = shelf.record(&self.name, &file);
            self.recording = begun.is_ok().then_some(file);
            if let Err(error) = begun {
                self.lament("a recording did not begin", &error);
            }
            self.append(shelf, &part.bytes);
        }
        self.part = Some(Part { file, codecs: part.codecs, size: part.size });
    }

    fn keep_segment(
        &mut self,
        shelf: &mut impl Shelf,
        segment: crate::media::Segment,
        now_ms: u64,
    ) -> Result<(), Refused> {
        let Some(part) = self.part.clone() else { return Ok(()) };
        let file = format!("{}-{}.m4s", self.session, self.segments);
        let kept = shelf.put(&self.name, &file, &segment.bytes);
        self.segments += 1;
        self.append(shelf, &segment.bytes);
        let length = segment.start_ms.saturating_add(segment.duration_ms).max(0).cast_unsigned();
        let began_ms = *self.began_ms.get_or_insert(now_ms.saturating_sub(length));
        let entry = Segment {
            file,
            init: part.file.clone(),
            at_ms: began_ms + segment.start_ms.max(0).cast_unsigned(),
            duration_ms: segment.duration_ms.max(1).cast_unsigned(),
            bytes: segment.bytes.len() as u64,
            is_break: false,
        };
        let window = self.window;
        let mut unneeded = Vec::new();
        if let Err(error) = kept {
            // Viewers are led over the gap.
            self.lament("a segment was not kept", &error);
            return self.note(shelf, now_ms, |stream| stream.broken = true);
        }
        self.note(shelf, now_ms, |stream| {
            let before = stream.part.replace(part.clone());
            stream.broken |= before.is_some_and(|before| before != part);
            unneeded = stream.add(entry.clone(), window);
        })?;
        for file in unneeded {
            if let Err(error) = shelf.remove(&self.name, &file) {
                self.lament("a segment was not removed", &error);
            }
        }
        Ok(())
    }

    fn append(&mut self, shelf: &mut impl Shelf, bytes: &[u8]) {
        let Some(file) = &self.recording else { return };
        if let Err(error) = shelf.append(&self.name, file, bytes) {
            self.lament("the recording ends here", &error);
            self.recording = None;
        }
    }

    /// Change what is known of the stream, as long as it is this publisher's.
    fn note(
        &mut self,
        shelf: &mut impl Shelf,
        now_ms: u64,
        mut change: impl FnMut(&mut Stream),
    ) -> Result<(), Refused> {
        let mut is_mine = true;
        let noted = shelf.change(&self.name, &mut |stream| {
            is_mine = stream.session == self.session;
            if is_mine {
                stream.heard_ms = now_ms;
                change(stream);
            }
            is_mine
        });
        (self.noted_ms, self.is_heard) = (now_ms, false);
        if let Err(error) = noted {
            self.lament("a change was not noted", &error);
        }
        match is_mine {
            true => Ok(()),
            false => {
                Err(Refused::Taken(format!("another publisher took `{}` over", self.name.path())))
            }
        }
    }

    fn lament(&self, what: &str, error: &str) {
        log::error(format_args!("{}: {what}: {error}", self.name.path()));
    }
}

fn away(error: String) -> Refused {
    log::error(error);
    Refused::Unfit("the server cannot keep the stream: try again in a while".to_owned())
}

/// Remove the files of streams that ended a while ago.
pub fn sweep(shelf: &mut impl Shelf, now_ms: u64) -> Result<(), String> {
    for name in shelf.names()? {
        let mut files = Vec::new();
        shelf.change(&name, &mut |stream| {
            files.clear();
            let is_due = stream.is_over(now_ms) && !stream.segments.is_empty();
            if is_due {
                files = stream.clear();
            }
            is_due
        })?;
        for file in files {
            shelf.remove(&name, &file)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
