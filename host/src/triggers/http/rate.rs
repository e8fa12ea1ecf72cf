//! How many requests a client may send a second: to all plugins together as the operator wants it,
//! and to one plugin as its manifest does.
//!
//! Two rows of slots, each slot the time at which its clients would have used up what they sent
//! so far. A client has a slot in each row, chosen by a hash with a secret key, and is refused
//! only when both are ahead of the clock by more than the burst: who shares one slot with a noisy
//! client still has the other. Memory is fixed, however many addresses ask, and nothing locks.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use crate::{manifest::RateLimit, triggers::customer};

/// Slots in a row; with 8 bytes each, half a MiB.
const SLOTS: usize = 1 << 16;

/// Counts requests.
pub struct Limiter {
    limit: RateLimit,
    /// Nanoseconds that one request takes.
    cost: u64,
    /// Nanoseconds that a slot may be ahead.
    ahead: u64,
    start: Instant,
    rows: [Box<[AtomicU64]>; 2],
    keys: [RandomState; 2],
}

impl Limiter {
    /// A limiter that has seen nobody.
    pub fn new(limit: RateLimit) -> Self {
        let cost = 1_000_000_000 / u64::from(limit.per_second.max(1));
        let row = || (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self {
            limit,
            cost,
            ahead: cost * u64::from(limit.burst.max(1)),
            start: Instant::now(),
            rows: [row(), row()],
            keys: [RandomState::new(), RandomState::new()],
        }
    }

    /// What it allows.
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Count a request. The error is the number of seconds to wait.
    pub fn admit(&self, ip: IpAddr) -> Result<(), u32> {
        let now = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.admit_at(ip, now)
    }

    fn admit_at(&self, ip: IpAddr, now: u64) -> Result<(), u32> {
        let network = customer(ip);
        let slot = |row: usize| {
            let hash = self.keys[row].hash_one(network);
            self.take(&self.rows[row][hash as usize % SLOTS], now)
        };
        let waits = [slot(0), slot(1)];
        let wait = waits.into_iter().filter_map(Result::err).min();
        match wait {
            Some(wait) if waits.iter().all(Result::is_err) => {
                Err(u32::try_from(wait.div_ceil(1_000_000_000)).unwrap_or(u32::MAX))
            }
            _ => Ok(()),
        }
    }

    /// Move a slot on by one request, if it is not too far ahead; else how far too far.
    fn take(&self, slot: &AtomicU64, now: u64) -> Result<(), u64> {
        let next = |used: u64| {
            let used = used.max(now) + self.cost;
            (used - now <= self.ahead).then_some(used)
        };
        match slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(used) => Err((used + self.cost).saturating_sub(now + self.ahead)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limiter() -> Limiter {
        Limiter::new(RateLimit { per_second: 2, burst: 3 })
    }

    #[test]
    fn after_the_burst_a_client_waits_for_its_rate() {
        let (limiter, ip) = (limiter(), [1, 2, 3, 4].into());
        for _ in 0..3 {
            assert_eq!(limiter.admit_at(ip, SECOND), Ok(()));
        }
        assert_eq!(limiter.admit_at(ip, SECOND), Err(1));
        assert_eq!(limiter.admit_at(ip, SECOND + SECOND / 2), Ok(()));
        assert_eq!(limiter.admit_at(ip, SECOND + SECOND / 2), Err(1));
        assert_eq!(limiter.admit_at([4, 3, 2, 1].into(), SECOND), Ok(()));
    }

    #[test]
    fn an_ipv6_client_counts_with_its_customer() {
        let limiter = limiter();
        for host in 1..=3 {
            let ip: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
            assert_eq!(limiter.admit_at(ip.into(), 0), Ok(()));
        }
        let (same, other) = (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 9, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1),
        );
        assert_eq!(limiter.admit_at(same.into(), 0), Err(1));
        assert_eq!(limiter.admit_at(other.into(), 0), Ok(()));
    }
}
