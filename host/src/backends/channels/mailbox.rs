//! A connection without a socket, which requests read.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{End, Frame, Reader};

/// What may wait in a mailbox besides what channels keep.
const MOST: usize = 256 << 10;

/// A connection whose frames wait for a request that fetches them.
pub struct Mailbox {
    reader: Reader,
    idle: Duration,
    reading: Mutex<Reading>,
    /// Of several who read at a time, one waits and the others wait for it.
    turn: tokio::sync::Mutex<()>,
}

/// Who reads, and since when nobody does.
struct Reading {
    readers: usize,
    last: Instant,
}

/// Counts a reader for as long as it reads.
struct Present<'a>(&'a Mailbox);

impl Mailbox {
    /// One that ends when nobody has read it for so long.
    pub(super) fn new(idle: Duration) -> Self {
        let reading = Reading { readers: 0, last: Instant::now() };
        let (reading, turn) = (Mutex::new(reading), tokio::sync::Mutex::default());
        Self { reader: Reader::new(MOST), idle, reading, turn }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Take what waits, at most `most` frames; where nothing does, wait so long for the first.
    /// `None` once it has ended.
    pub async fn read(&self, most: usize, wait: Duration) -> Option<Vec<Arc<Frame>>> {
        let _present = self.enter();
        if most == 0 {
            return self.reader.end().is_none().then(Vec::new);
        }
        let first = async {
            let _turn = self.turn.lock().await;
            poll_fn(|cx| self.reader.poll_some(most, cx)).await
        };
        timeout(wait, first).await.map_or(Some(Vec::new()), Result::ok)
    }

    /// How it ended, by now: nobody reads it any longer, or somebody closed it and all that was sent
    /// before has been read.
    pub(super) fn end(&self, now: Instant) -> Option<End> {
        let is_idle = {
            let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            reading.readers == 0 && now.saturating_duration_since(reading.last) > self.idle
        };
        if is_idle {
            self.reader.close(1001, "nobody reads the mailbox any longer");
        }
        self.reader.end().filter(|_| is_idle || self.reader.is_drained())
    }

    fn enter(&self) -> Present<'_> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner).readers += 1;
        Present(self)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut reading = self.0.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.readers -= 1;
        reading.last = Instant::now();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_read_waits_for_the_first_frame_and_gives_up_in_time() {
        let mailbox = Arc::new(Mailbox::new(LONG));
        assert!(mailbox.read(9, Duration::from_millis(1)).await.unwrap().is_empty());
        let (other, outlet) = (mailbox.clone(), mailbox.reader().outlet());
        let reading = tokio::spawn(async move { other.read(9, LONG).await });
        tokio::task::yield_now().await;
        outlet.send(Frame::text("a"));
        assert_eq!(reading.await.unwrap().unwrap().len(), 1);
        outlet.send(Frame::text("last words"));
        outlet.close(1000, "");
        assert_eq!(mailbox.end(Instant::now()), None, "somebody may yet read it");
        assert_eq!(mailbox.read(9, LONG).await.unwrap().len(), 1);
        assert!(mailbox.read(9, LONG).await.is_none());
        assert_eq!(mailbox.end(Instant::now()).unwrap().code, 1000);
    }

    #[tokio::test]
    async fn a_reader_that_gave_up_takes_no_frame_from_the_next() {
        let mailbox = Arc::new(Mailbox::new(LONG));
        let (first, second) = (mailbox.clone(), mailbox.clone());
        let giving_up = tokio::spawn(async move { first.read(9, Duration::from_millis(50)).await });
        let reading = tokio::spawn(async move { second.read(9, LONG).await });
        assert!(giving_up.await.unwrap().unwrap().is_empty());
        mailbox.reader().outlet().send(Frame::text("a"));
        assert_eq!(reading.await.unwrap().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_mailbox_that_nobody_reads_ends_and_one_that_is_read_does_not() {
        let idle = Duration::from_millis(1000);
        let mailbox = Arc::new(Mailbox::new(idle));
        let later = || Instant::now() + 2 * idle;
        let other = mailbox.clone();
        let reading = tokio::spawn(async move { other.read(9, LONG).await });
        tokio::task::yield_now().await;
        assert_eq!(mailbox.end(later()), None);
        reading.abort();
        let _ = reading.await;
        assert_eq!(mailbox.end(Instant::now()), None);
        assert_eq!(mailbox.end(later()).unwrap().code, 1001);
    }
}
