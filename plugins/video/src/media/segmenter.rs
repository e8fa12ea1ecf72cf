//! Cuts a stream into segments at its key frames.
//!
//! A **part** is a run of segments that one initialisation plays: the same tracks with the same
//! parameters. Its times begin at 0. Whatever changes begins another part.

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::flv::{Packet, Unsupported};
use super::mp4::{self, Run};
use super::{aac, avc};

/// A segment ends by now, key frame or not: after so long,
const LONGEST_MS: i64 = 10_000;
/// or with so many bytes,
const LARGEST: usize = 8 << 20;
/// or so many pictures and frames of sound.
const MOST_SAMPLES: usize = 4096;
/// How far sound may be from the time that its timestamp says, before it is moved there: timestamps
/// are rounded, and frames are not.
const DRIFT_MS: i64 = 100;
/// How long a stream whose timestamps jumped is left out before it goes on, at least.
const PAUSE_MS: u64 = 1_000;
/// How often it may jump within one segment.
const MOST_JUMPS: u32 = 10;
/// How long the last picture of a stream may be shown: as long as the one before, but no longer.
const PICTURE_MS: i64 = 1_000;

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    /// From here on segments are of this part.
    Part(Part),
    /// The next segment.
    Segment(Segment),
}

/// What players need before the segments of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counts the parts of a stream.
    pub number: u32,
    /// The codecs, as RFC 6381 lists them.
    pub codecs: String,
    /// Of the picture, in pixels, where there is one.
    pub size: Option<(u16, u16)>,
    /// The initialisation segment.
    pub bytes: Vec<u8>,
}

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When it began, in milliseconds since the stream did.
    pub start_ms: i64,
    /// At least one.
    pub duration_ms: i64,
    /// The media segment.
    pub bytes: Vec<u8>,
}

/// A stream on its way into segments.
#[derive(Debug, Serialize, Deserialize)]
pub struct Segmenter {
    /// How long a segment should be.
    wish_ms: i64,
    avc: Option<avc::Parameters>,
    aac: Option<aac::Parameters>,
    /// `None` until the stream begins, and after its timestamps jumped, until it goes on.
    clock: Option<Clock>,
    /// Since when it goes on, by the clock on the wall.
    resumed_ms: u64,
    jumps: u32,
    /// When the current segment began, and the latest end of anything in it.
    start_ms: i64,
    end_ms: i64,
    /// When the last picture is decoded.
    picture_ms: i64,
    /// Which sample of sound comes next.
    sound_at: Option<i64>,
    /// Pictures wait with their time in milliseconds, sound with its first sample.
    pictures: Waiting,
    sounds: Waiting,
    /// The part that the last segment was of.
    part: Option<Playing>,
    parts: u32,
    segments: u32,
}

/// What a part plays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Playing {
    avc: Option<avc::Parameters>,
    aac: Option<aac::Parameters>,
    /// Where its times begin.
    base_ms: i64,
}

/// What waits for the end of the segment, of one track.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Waiting {
    samples: Vec<Sample>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    time: i64,
    size: u32,
    is_key: bool,
    delay_ms: i32,
}

impl Waiting {
    fn push(&mut self, sample: Sample, data: &[u8]) {
        self.samples.push(sample);
        self.data.extend_from_slice(data);
    }
}

impl Segmenter {
    /// One whose segments have about so many milliseconds.
    pub fn new(wish_ms: i64) -> Self {
        Self {
            wish_ms,
            avc: None,
            aac: None,
            clock: None,
            resumed_ms: 0,
            jumps: 0,
            start_ms: 0,
            end_ms: 0,
            picture_ms: 0,
            sound_at: None,
            pictures: Waiting::default(),
            sounds: Waiting::default(),
            part: None,
            parts: 0,
            segments: 0,
        }
    }

    /// Take what came at a timestamp; what is finished by it.
    pub fn push(
        &mut self,
        timestamp: u32,
        packet: Packet<'_>,
        now_ms: u64,
    ) -> Result<Vec<Made>, Unsupported> {
        match packet {
            Packet::Avc(parameters) if self.avc.as_ref() != Some(&parameters) => {
                let made = self.flush_if(!self.pictures.samples.is_empty())?;
                self.avc = Some(parameters);
                Ok(made)
            }
            Packet::Aac(parameters) if self.aac.as_ref() != Some(&parameters) => {
                let made = self.flush_if(!self.sounds.samples.is_empty())?;
                self.aac = Some(parameters);
                self.sound_at = None;
                Ok(made)
            }
            Packet::Picture { is_key, delay_ms, units } => {
                self.picture(timestamp, is_key, delay_ms, units, now_ms)
            }
            Packet::Sound(frame) => self.sound(timestamp, frame, now_ms),
            Packet::Avc(_) | Packet::Aac(_) | Packet::Nothing => Ok(Vec::new()),
        }
    }

    /// The end of the stream: what is left.
    pub fn finish(&mut self) -> Result<Vec<Made>, Unsupported> {
        self.flush_if(true)
    }

    fn flush_if(&mut self, is_needed: bool) -> Result<Vec<Made>, Unsupported> {
        if is_needed { self.cut(self.end_ms) } else { Ok(Vec::new()) }
    }

    fn picture(
        &mut self,
        timestamp: u32,
        is_key: bool,
        delay_ms: i32,
        units: &[u8],
        now_ms: u64,
    ) -> Result<Vec<Made>, Unsupported> {
        // One that comes before its parameters cannot be shown.
        let Some(avc) = &self.avc else { return Ok(Vec::new()) };
        if !avc.fits(units) {
            return Err(Unsupported("a picture is not made of whole units".to_owned()));
        }
        let Some(time) = self.time(timestamp, is_key, now_ms)? else { return Ok(Vec::new()) };
        let time = time.max(self.picture_ms);
        let long_enough = time - self.start_ms >= self.wish_ms;
        let made = match is_key && long_enough || self.is_full(time, units.len()) {
            true => self.cut(time)?,
            false => Vec::new(),
        };
        let shown_ms = (time - self.picture_ms).min(PICTURE_MS);
        self.picture_ms = time;
        self.end_ms = self.end_ms.max(time + shown_ms);
        let size = units.len() as u32;
        self.pictures.push(Sample { time, size, is_key, delay_ms }, units);
        Ok(made)
    }

    fn sound(
        &mut self,
        timestamp: u32,
        frame: &[u8],
        now_ms: u64,
    ) -> Result<Vec<Made>, Unsupported> {
        let Some((rate, samples)) =
            self.aac.as_ref().map(|aac| (i64::from(aac.rate), i64::from(aac.frame)))
        else {
            return Ok(Vec::new());
        };
        // With pictures, a stream begins at one that players can begin with.
        let Some(time) = self.time(timestamp, self.avc.is_none(), now_ms)? else {
            return Ok(Vec::new());
        };
        let said = time * rate / 1000;
        let at = match self.sound_at {
            Some(at) if (at - said).abs() * 1000 <= DRIFT_MS * rate => at,
            // So much sound came that it is ahead of its own timestamps.
            Some(at) if at > said => return Ok(Vec::new()),
            _ => said,
        };
        // From before the stream began.
        if at < 0 {
            return Ok(Vec::new());
        }
        let time = at * 1000 / rate;
        let long_enough = time - self.start_ms >= self.wish_ms;
        let alone = self.pictures.samples.is_empty();
        let made = match alone && long_enough || self.is_full(time, frame.len()) {
            true => self.cut(time)?,
            false => Vec::new(),
        };
        self.sound_at = Some(at + samples);
        self.end_ms = self.end_ms.max((at + samples) * 1000 / rate);
        let size = frame.len() as u32;
        self.sounds.push(Sample { time: at, size, is_key: true, delay_ms: 0 }, frame);
        Ok(made)
    }

    /// The time of a timestamp. Where the stream has not begun, or its timestamps jumped, `None`
    /// until something comes that it can begin with.
    fn time(
        &mut self,
        timestamp: u32,
        may_begin: bool,
        now_ms: u64,
    ) -> Result<Option<i64>, Unsupported> {
        if let Some(clock) = &mut self.clock {
            if let Some(time) = clock.time(timestamp) {
                return Ok(Some(time));
            }
            self.clock = None;
            self.jumps += 1;
            if self.jumps > MOST_JUMPS {
                return Err(Unsupported(
                    "the timestamps jump again and again: audio and video do not have one clock"
                        .to_owned(),
                ));
            }
        }
        if !may_begin || now_ms < self.resumed_ms.saturating_add(PAUSE_MS) {
            return Ok(None);
        }
        // It goes on where it was, so that players notice nothing but what is left out.
        self.clock = Some(Clock::new(timestamp, self.end_ms));
        self.resumed_ms = now_ms;
        Ok(Some(self.end_ms))
    }

    fn is_full(&self, time: i64, more: usize) -> bool {
        let count = self.pictures.samples.len() + self.sounds.samples.len();
        let bytes = self.pictures.data.len() + self.sounds.data.len() + more;
        count > 0
            && (time - self.start_ms >= LONGEST_MS || bytes > LARGEST || count >= MOST_SAMPLES)
    }

    /// End the segment here, and begin the next.
    fn cut(&mut self, at_ms: i64) -> Result<Vec<Made>, Unsupported> {
        let (pictures, sounds) =
            (std::mem::take(&mut self.pictures), std::mem::take(&mut self.sounds));
        let start_ms = std::mem::replace(&mut self.start_ms, at_ms);
        if pictures.samples.is_empty() && sounds.samples.is_empty() {
            return Ok(Vec::new());
        }
        self.end_ms = self.end_ms.max(at_ms);
        self.jumps = 0;
        let mut made = Vec::new();
        let avc = self.avc.clone().filter(|_| !pictures.samples.is_empty());
        let aac = self.aac.clone().filter(|_| !sounds.samples.is_empty());
        // A track that is not in a short segment, such as the last one, is not gone.
        let is_short = at_ms - start_ms < self.wish_ms;
        let plays = |part: &Playing| {
            (part.avc == avc || is_short && avc.is_none() && part.avc == self.avc)
                && (part.aac == aac || is_short && aac.is_none() && part.aac == self.aac)
        };
        let playing = match self.part.take() {
            Some(part) if plays(&part) => part,
            _ => {
                made.push(Made::Part(self.announce(avc.as_ref(), aac.as_ref())?));
                Playing { avc, aac, base_ms: start_ms }
            }
        };
        let bytes = self.write(&playing, &pictures, &sounds, at_ms)?;
        self.part = Some(playing);
        let duration_ms = (at_ms - start_ms).max(1);
        made.push(Made::Segment(Segment { start_ms, duration_ms, bytes }));
        Ok(made)
    }

    fn announce(
        &mut self,
        avc: Option<&avc::Parameters>,
        aac: Option<&aac::Parameters>,
    ) -> Result<Part, Unsupported> {
        self.parts += 1;
        let bytes = mp4::init(avc, aac).map_err(unwritable)?;
        let codecs = [avc.map(avc::Parameters::codec), aac.map(aac::Parameters::codec)];
        let codecs = codecs.into_iter().flatten().collect::<Vec<_>>().join(",");
        let size = avc.map(|avc| (avc.width, avc.height));
        Ok(Part { number: self.parts, codecs, size, bytes })
    }

    fn write(
        &mut self,
        part: &Playing,
        pictures: &Waiting,
        sounds: &Waiting,
        at_ms: i64,
    ) -> Result<Vec<u8>, Unsupported> {
        self.segments += 1;
        let mut runs = Vec::new();
        if let Some(first) = pictures.samples.first() {
            // Nothing is shown for less than nothing, and the last one until the next segment.
            let scale = i64::from(mp4::VIDEO_SCALE / 1000);
            let ends = at_ms.max(self.picture_ms);
            runs.push(Run {
                track: mp4::VIDEO,
                time: ((first.time - part.base_ms) * scale).max(0).cast_unsigned(),
                samples: durations(&pictures.samples, ends, scale),
                data: &pictures.data,
            });
        }
        if let (Some(first), Some(aac)) = (sounds.samples.first(), &part.aac) {
            let base = part.base_ms * i64::from(aac.rate) / 1000;
            let last = sounds.samples.last().map_or(0, |last| last.time);
            runs.push(Run {
                track: mp4::AUDIO,
                time: (first.time - base).max(0).cast_unsigned(),
                samples: durations(&sounds.samples, last + i64::from(aac.frame), 1),
                data: &sounds.data,
            });
        }
        mp4::fragment(self.segments, &runs).map_err(unwritable)
    }
}

/// The samples with how long each is, which ends when the next one begins.
fn durations(samples: &[Sample], end: i64, scale: i64) -> Vec<mp4::Sample> {
    let ends = samples.iter().skip(1).map(|sample| sample.time).chain([end]);
    let sample = |(sample, end): (&Sample, i64)| mp4::Sample {
        duration: u32::try_from((end - sample.time) * scale).unwrap_or_default(),
        size: sample.size,
        is_key: sample.is_key,
        delay: sample.delay_ms * scale as i32,
    };
    samples.iter().zip(ends).map(sample).collect()
}

fn unwritable(error: mp4_atom::Error) -> Unsupported {
    Unsupported(format!("the stream cannot be written as MP4: {error}"))
}

#[cfg(test)]
mod tests;
