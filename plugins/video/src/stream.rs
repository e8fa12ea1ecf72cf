//! What is known of a stream: who publishes it, and which segments there are. It outlives its
//! publisher, so that one who comes back goes on where the viewers are.

use serde::{Deserialize, Serialize};

/// A publisher that has sent nothing for so long has lost its name to whoever wants it.
const TAKEOVER_MS: u64 = 5_000;
/// A stream of which nothing came for so long is not live, even if nobody said that it ended.
const SILENT_MS: u64 = 15_000;
/// So long after its end its playlist says that nothing follows, and viewers stop asking.
const GRACE_MS: u64 = 30_000;
/// So long after its end its segments are removed.
const KEEP_MS: u64 = 300_000;

/// One stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its publisher; each has a higher number than the one before.
    pub session: u64,
    /// Since when it is live, in milliseconds since 1970.
    pub since_ms: u64,
    /// When something last came.
    pub heard_ms: u64,
    /// When its publisher left.
    pub ended_ms: Option<u64>,
    /// What the newest segments play.
    pub part: Option<Part>,
    /// The segments there are, the oldest first.
    pub segments: Vec<Segment>,
    /// How many segments came before those.
    pub gone: u64,
    /// How many breaks were among them.
    pub gone_breaks: u64,
    /// The longest segment so far, in whole seconds.
    pub target_s: u64,
    /// Whether the next segment does not go on where the last one ended.
    pub broken: bool,
}

/// What segments play.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The file of the initialisation.
    pub file: String,
    /// As RFC 6381 lists them.
    pub codecs: String,
    /// Of the picture, where there is one.
    pub size: Option<(u16, u16)>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its file, and that of the initialisation that it needs.
    pub file: String,
    pub init: String,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    pub duration_ms: u64,
    pub bytes: u64,
    /// Whether it does not go on where the one before ended.
    pub is_break: bool,
}

/// How a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody publishes it.
    Live,
    /// Its publisher left a moment ago, and may come back.
    Away,
    /// It has ended; the last segments are still there.
    Ended,
    /// There is nothing of it any more.
    Gone,
}

impl Stream {
    /// Let a publisher have the stream. `Err`: somebody publishes it.
    pub fn claim(&mut self, now_ms: u64) -> Result<(), ()> {
        let is_taken = self.session != 0
            && self.ended_ms.is_none()
            && now_ms < self.heard_ms.saturating_add(TAKEOVER_MS);
        if is_taken {
            return Err(());
        }
        *self = Self {
            session: now_ms.max(self.session + 1),
            since_ms: now_ms,
            heard_ms: now_ms,
            ended_ms: None,
            broken: !self.segments.is_empty() || self.gone > 0,
            ..std::mem::take(self)
        };
        Ok(())
    }

    /// How it is at a time.
    pub fn state(&self, now_ms: u64) -> State {
        let ended_ms = self.ended_ms.unwrap_or(self.heard_ms);
        let silent_ms = now_ms.saturating_sub(ended_ms);
        match silent_ms {
            0..SILENT_MS if self.ended_ms.is_none() => State::Live,
            KEEP_MS.. => State::Gone,
            _ if self.segments.is_empty() => State::Gone,
            GRACE_MS.. => State::Ended,
            _ => State::Away,
        }
    }

    /// Whether all that is left of it may be removed.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.state(now_ms) == State::Gone
    }

    /// Add a segment, and keep at most twice as many as a playlist has: a viewer may still be about
    /// to fetch what left it. The files that nobody needs any more.
    pub fn add(&mut self, mut segment: Segment, window: usize) -> Vec<String> {
        segment.is_break = std::mem::take(&mut self.broken);
        self.target_s = self.target_s.max(segment.duration_ms.div_ceil(1000)).max(1);
        self.segments.push(segment);
        let surplus = self.segments.len().saturating_sub(2 * window);
        self.forget(surplus)
    }

    /// Forget all segments, of a stream that is gone. Their files.
    pub fn clear(&mut self) -> Vec<String> {
        self.part = None;
        self.target_s = 0;
        self.forget(self.segments.len())
    }

    /// The segments that a playlist shows, and how many segments and breaks were before them.
    pub fn shown(&self, window: usize) -> (&[Segment], u64, u64) {
        let hidden = self.segments.len().saturating_sub(window);
        let (before, shown) = self.segments.split_at(hidden);
        let breaks = before.iter().filter(|segment| segment.is_break).count();
        (shown, self.gone + before.len() as u64, self.gone_breaks + breaks as u64)
    }

    /// Bits a second: of the busiest segment, and of all together.
    pub fn bits(&self) -> (u64, u64) {
        let rate = |bytes: u64, ms: u64| bytes * 8000 / ms.max(1);
        let peak = self.segments.iter().map(|one| rate(one.bytes, one.duration_ms)).max();
        let (bytes, ms) = self
            .segments
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.bytes, sum.1 + one.duration_ms));
        (peak.unwrap_or_default(), rate(bytes, ms))
    }

    fn forget(&mut self, count: usize) -> Vec<String> {
        let forgotten: Vec<Segment> = self.segments.drain(..count).collect();
        self.gone += forgotten.len() as u64;
        self.gone_breaks += forgotten.iter().filter(|segment| segment.is_break).count() as u64;
        let mut files = Vec::new();
        for segment in forgotten {
            files.push(segment.file);
            let is_needed = self.segments.iter().any(|other| other.init == segment.init)
                || self.part.as_ref().is_some_and(|part| part.file == segment.init);
            if !is_needed && !files.contains(&segment.init) {
                files.push(segment.init);
            }
        }
        files
    }
}

#[cfg(test)]
pub mod tests;
