//! Who of this host computes which value, and who waits for it.
//!
//! ```text
//!  enter ─┬─▶ Mine(Turn) ── computes ── finish, or drop ──▶ all who wait go on
//!         └─▶ Theirs(Wait) ── over ─▶ enter again
//! ```
//!
//! One lock for all that is written: what ends a turn and what its holder writes exclude each
//! other.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::Key;

/// The turns of one plugin on this host.
#[derive(Default)]
pub struct Claims {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Turns handed out; each has its number.
    turns: u64,
    by_key: HashMap<Key, Holder>,
}

struct Holder {
    turn: u64,
    until: Instant,
    /// Dropped when the turn ends, which those who wait see.
    _ended: watch::Sender<()>,
    ends: watch::Receiver<()>,
}

/// Whose turn it is.
pub enum Entered {
    /// The caller's.
    Mine(Turn),
    /// Somebody else's.
    Theirs(Wait),
}

impl Claims {
    /// Take the turn of a key for `lease`, or see who has it.
    pub fn enter(self: &Arc<Self>, key: &Key, lease: Duration) -> Entered {
        let mut held = self.lock();
        held.turns += 1;
        let turn = held.turns;
        let now = Instant::now();
        let (ended, ends) = watch::channel(());
        let mine = Holder { turn, until: now + lease, _ended: ended, ends };
        match held.by_key.entry(key.clone()) {
            Entry::Occupied(other) if other.get().until > now => {
                let other = other.get();
                return Entered::Theirs(Wait { ends: other.ends.clone(), until: other.until });
            }
            Entry::Occupied(mut late) => {
                late.insert(mine);
            }
            Entry::Vacant(free) => {
                free.insert(mine);
            }
        }
        Entered::Mine(Turn { claims: self.clone(), key: key.clone(), number: turn })
    }

    /// Write to a key while no turn can; if `write` did, the turn of the key has ended.
    pub fn write(&self, key: &Key, write: impl FnOnce() -> bool) -> bool {
        let mut held = self.lock();
        let written = write();
        if written {
            held.by_key.remove(key);
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Nothing that runs under it leaves it half changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn. Dropping it ends it.
pub struct Turn {
    claims: Arc<Claims>,
    key: Key,
    number: u64,
}

impl Turn {
    /// It ends after `lease`, counted from now.
    pub fn renew(&self, lease: Duration) {
        let mut held = self.claims.lock();
        let holder = held.by_key.get_mut(&self.key);
        if let Some(holder) = holder.filter(|holder| holder.turn == self.number) {
            holder.until = Instant::now() + lease;
        }
    }

    /// End it with a write, if it has not ended before; whether it was good.
    pub fn finish(self, write: impl FnOnce()) -> bool {
        let mut held = self.claims.lock();
        let now = Instant::now();
        let holder = held.by_key.get(&self.key);
        let good = holder.is_some_and(|holder| holder.turn == self.number && holder.until > now);
        if good {
            write();
            held.by_key.remove(&self.key);
        }
        good
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut held = self.claims.lock();
        if held.by_key.get(&self.key).is_some_and(|holder| holder.turn == self.number) {
            held.by_key.remove(&self.key);
        }
    }
}

/// Somebody else's turn.
pub struct Wait {
    ends: watch::Receiver<()>,
    until: Instant,
}

impl Wait {
    /// Wait until it has ended or its lease is over, at most until `deadline`.
    pub async fn over(mut self, deadline: Instant) {
        // Nothing is ever sent: the only news is that the sender is gone. Being late is fine too.
        let _ = tokio::time::timeout_at(deadline.min(self.until), self.ends.changed()).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    fn mine(claims: &Arc<Claims>, key: &Key, lease: Duration) -> Option<Turn> {
        match claims.enter(key, lease) {
            Entered::Mine(turn) => Some(turn),
            Entered::Theirs(_) => None,
        }
    }

    fn theirs(claims: &Arc<Claims>, key: &Key) -> Wait {
        match claims.enter(key, LONG) {
            Entered::Theirs(wait) => wait,
            Entered::Mine(_) => panic!("two turns"),
        }
    }

    #[tokio::test]
    async fn a_turn_ends_with_its_lease_and_then_writes_nothing() {
        let (claims, key) = (Arc::<Claims>::default(), Key::new("k").unwrap());
        let begun = Instant::now();
        let first = mine(&claims, &key, SHORT).unwrap();
        theirs(&claims, &key).over(begun + LONG).await;
        assert!((SHORT..LONG).contains(&begun.elapsed()));
        let second = mine(&claims, &key, LONG).unwrap();
        assert!(!first.finish(|| panic!("its lease was over")));
        assert!(second.finish(|| ()));
        assert!(mine(&claims, &key, LONG).is_some());
    }

    #[tokio::test]
    async fn those_who_wait_go_on_when_the_turn_is_dropped_or_their_time_is_over() {
        let (claims, key) = (Arc::<Claims>::default(), Key::new("k").unwrap());
        let begun = Instant::now();
        let first = mine(&claims, &key, LONG).unwrap();
        theirs(&claims, &key).over(begun + SHORT).await;
        assert!((SHORT..LONG).contains(&begun.elapsed()));
        let waiting = tokio::spawn(theirs(&claims, &key).over(begun + LONG));
        drop(first);
        waiting.await.unwrap();
        assert!(begun.elapsed() < LONG);
        assert!(claims.lock().by_key.is_empty());
    }

    #[tokio::test]
    async fn a_write_ends_the_turn_of_its_key_alone() {
        let claims = Arc::<Claims>::default();
        let (one, two) = (Key::new("one").unwrap(), Key::new("two").unwrap());
        let turns = (mine(&claims, &one, LONG).unwrap(), mine(&claims, &two, LONG).unwrap());
        assert!(!claims.write(&one, || false));
        assert!(mine(&claims, &one, LONG).is_none());
        assert!(claims.write(&one, || true));
        assert!(!turns.0.finish(|| panic!("it was lost")));
        assert!(turns.1.finish(|| ()));
    }
}
