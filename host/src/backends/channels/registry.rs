//! The channels of one plugin by their names: made when they are first used, let go when nobody
//! has used them for a while.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{Channel, Options, Tally};

/// The longest name of a channel, in bytes.
pub const MAX_NAME: usize = 512;

/// How far apart the first numbers of two channels are, at least: as many frames a millisecond
/// come from nobody for long. Numbers stay below 2^53, so that languages whose numbers are doubles
/// have them as they are.
const STRIDE: u64 = 1 << 11;

/// Why a channel did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no room for another channel.
    #[error("there are `{0}` channels already; no more are kept at a time")]
    TooMany(usize),
    /// The name is too long.
    #[error("a channel's name has `{0}` bytes; make it {MAX_NAME} at most")]
    LongName(usize),
}

/// All channels by name.
pub struct Channels {
    most: usize,
    tally: Arc<Tally>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    by_name: HashMap<Arc<str>, Arc<Channel>>,
    /// The number that the last channel began with.
    first: u64,
}

impl Channels {
    /// No channel yet, and room for so many.
    pub fn new(most: usize) -> Self {
        Self { most, tally: Arc::default(), open: Mutex::default() }
    }

    /// The channel of this name, which is made with the options if there is none.
    ///
    /// It stays the channel of this name as long as somebody holds it, and [`Options::keep`]
    /// longer.
    pub fn open(&self, name: &str, options: Options) -> Result<Arc<Channel>, Error> {
        if name.len() > MAX_NAME {
            return Err(Error::LongName(name.len()));
        }
        let mut open = self.lock();
        if let Some(channel) = open.by_name.get(name) {
            channel.touch();
            return Ok(channel.clone());
        }
        if open.by_name.len() >= self.most {
            return Err(Error::TooMany(open.by_name.len()));
        }
        open.first = first(open.first);
        let name: Arc<str> = name.into();
        let channel = Channel::new(name.clone(), options, open.first, self.tally.clone());
        let channel = Arc::new(channel);
        open.by_name.insert(name, channel.clone());
        Ok(channel)
    }

    /// The channel of this name, if there is one.
    pub fn get(&self, name: &str) -> Option<Arc<Channel>> {
        self.lock().by_name.get(name).cloned()
    }

    /// All channels.
    pub fn all(&self) -> Vec<Arc<Channel>> {
        self.lock().by_name.values().cloned().collect()
    }

    /// Let the channels go that nobody holds, and that have not been used since
    /// [`Options::keep`] before `now`; how many went. To be called every few seconds.
    pub fn sweep(&self, now: Instant) -> usize {
        let mut gone = vec![];
        // Under the lock nobody gets hold of a channel, so one that is not held stays so.
        self.lock().by_name.retain(|_, channel| {
            let held = Arc::strong_count(channel) > 1;
            let stays = held || !channel.is_idle(now);
            if !stays {
                gone.push(channel.clone());
            }
            stays
        });
        gone.len()
    }

    /// How many channels there are.
    pub fn count(&self) -> usize {
        self.lock().by_name.len()
    }

    /// What all of them, those that were let go included, take and have lost.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first number of a channel that is made now. It comes from the time, so that a number from
/// before a restart, or from a channel that was let go, is below all that the ring has had.
fn first(last: u64) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    millis.saturating_mul(STRIDE).max(last.saturating_add(STRIDE))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::{
        super::{Frame, History, Limits, Start},
        *,
    };

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_name_is_one_channel_and_channels_are_bounded() {
        let channels = Channels::new(1);
        let one = channels.open("a", Options::default()).unwrap();
        assert!(Arc::ptr_eq(&one, &channels.open("a", Options::default()).unwrap()));
        assert!(Arc::ptr_eq(&one, &channels.get("a").unwrap()));
        let error = channels.open("b", Options::default()).err();
        assert_eq!(error, Some(Error::TooMany(1)));
        let error = channels.open(&"b".repeat(MAX_NAME + 1), Options::default()).err();
        assert_eq!(error, Some(Error::LongName(MAX_NAME + 1)));
    }

    #[test]
    fn the_first_number_of_a_channel_is_above_those_before_and_exact_as_a_double() {
        let one = first(0);
        assert!(one < 1 << f64::MANTISSA_DIGITS);
        assert!(first(one) >= one + STRIDE);
    }

    #[test]
    fn a_channel_that_is_held_or_was_just_used_is_not_swept() {
        let channels = Channels::new(9);
        let channel = channels.open("a", Options::default()).unwrap();
        let (listener, _) = channel.listen(Start::Next);
        drop(channel);
        assert_eq!(channels.sweep(later(61)), 0);
        drop(listener);
        assert_eq!(channels.sweep(later(50)), 0);
        assert_eq!(channels.sweep(later(61)), 1);
        assert_eq!(channels.count(), 0);
    }

    #[test]
    fn memory_is_that_of_the_frames_that_are_kept() {
        let channels = Channels::new(9);
        let limits = Limits { frames: 2, bytes: 1 << 20 };
        let channel = channels.open("a", Options { limits, ..Options::default() }).unwrap();
        for _ in 0..5 {
            channel.push(Frame::binary(vec![0; 1000]));
        }
        assert!((2000..3000).contains(&channels.tally().bytes()));
        drop(channel);
        channels.sweep(later(61));
        assert_eq!(channels.tally().bytes(), 0);
    }

    #[test]
    fn a_number_of_a_channel_that_was_let_go_is_gone_in_the_next_of_its_name() {
        let channels = Channels::new(9);
        let options = Options { keep: Duration::ZERO, ..Options::default() };
        let old = channels.open("a", options).unwrap();
        let [_, _, last] = [(); 3].map(|()| old.push(Frame::text("x")));
        assert_eq!(old.listen(Start::Sequence(last)).1, History::Whole);
        drop(old);
        channels.sweep(Instant::now());
        let new = channels.open("a", Options::default()).unwrap();
        new.push(Frame::text("y"));
        assert_eq!(new.listen(Start::Sequence(last)).1, History::Gone);
    }
}
