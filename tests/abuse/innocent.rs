//! The steady work of the innocent plugin, and what it must have come to.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use crate::{scene::tail, support::Host};

/// From one request to the next, whether the one before was answered or not.
const PACE: Duration = Duration::from_millis(20);
/// Every so many requests, one is a letter.
const LETTERS: u64 = 4;

/// Work until told that it is enough; how many letters were sent. Panics at the first answer that
/// is not as it should be.
pub async fn work(host: &Host, enough: &AtomicBool) -> u64 {
    let (asked, sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut under_way = futures_util::stream::FuturesUnordered::new();
    let mut clock = tokio::time::interval(PACE);
    while !enough.load(Ordering::Relaxed) || !under_way.is_empty() {
        tokio::select! {
            _ = clock.tick(), if !enough.load(Ordering::Relaxed) => under_way.push(async {
                if asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(LETTERS) {
                    let answer = host.post("/innocent/send", "letter").await;
                    assert_eq!(answer.text(), "sent", "{answer:?}\n{}", tail(host));
                    sent.fetch_add(1, Ordering::Relaxed);
                } else {
                    let answer = host.get("/innocent/").await;
                    assert_eq!(answer.text(), "well", "{answer:?}\n{}", tail(host));
                }
            }),
            Some(()) = futures_util::StreamExt::next(&mut under_way), if !under_way.is_empty() => {}
        }
    }
    drop(under_way);
    sent.into_inner()
}

/// Wait until its consumer has read all of these letters; each once.
pub async fn has_read(host: &Host, letters: u64) {
    let expected = letters.to_string();
    let read = host.until("/innocent/read", |answer| answer.text() == expected).await;
    assert_eq!(read.status, 200);
}
