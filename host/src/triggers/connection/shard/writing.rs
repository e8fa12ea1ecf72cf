//! What a connection writes. One write takes what is in the outbox and then the frames of all
//! channels that it has not had, as far as they fit.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::{
    Ending,
    connection::{Connection, Phase},
    outbox::{self, Batch, Origin},
    titles::Titles,
    tools::Tools,
};
use crate::backends::channels::{Title, TooSlow};

/// The frames of a channel that a thread is about to write to all who have not had them.
pub struct News<'a> {
    /// The key under which the thread hears the channel.
    pub heard: u32,
    /// The number of the first one.
    pub from: u64,
    /// The oldest in the ring.
    pub oldest: u64,
    /// The frames, in the form of the connection, at most as many as go in one write.
    pub pieces: &'a [Bytes],
    /// Whether other channels have news, too.
    pub among_others: bool,
}

impl Connection {
    /// The socket takes bytes again.
    pub fn writable(&mut self, tools: &mut Tools) {
        if self.blocked {
            self.blocked = false;
            self.flush(tools);
        }
    }

    /// Write all there is, or as much as the socket takes.
    pub fn flush(&mut self, tools: &mut Tools) {
        while !self.blocked && matches!(self.phase, Phase::Open | Phase::Closing) {
            let mut batch = std::mem::take(&mut tools.batch);
            let gathered = self.gather(&mut batch, tools);
            let is_empty = batch.pieces().is_empty();
            match gathered {
                Ok(()) if is_empty => self.out = None,
                Ok(()) => self.write(batch.pieces(), batch.origins(), tools.now),
                Err(TooSlow) => {}
            }
            // At once, so that no frame outlives its ring here.
            batch.clear();
            tools.batch = batch;
            match gathered {
                Ok(()) if is_empty => break,
                Ok(()) => {}
                Err(TooSlow) => return self.passed(tools),
            }
        }
        self.advance(tools);
    }

    /// Write frames that have just come in a channel. `true`: the connection has more to write
    /// than these, and is to be flushed when all channels have told theirs.
    pub fn offer(&mut self, news: &News<'_>, tools: &mut Tools) -> bool {
        let Some(index) = self.joined.find(news.heard) else { return false };
        let Some(member) = self.joined.all().get(index) else { return false };
        if self.phase != Phase::Open {
            return false;
        }
        if self.blocked {
            if member.listener.is_too_slow(news.oldest) {
                let _ = member.listener.kick();
                self.passed(tools);
            }
            return false;
        }
        let had = member.listener.cursor().checked_sub(news.from);
        let had = had.and_then(|had| usize::try_from(had).ok());
        let alone = !news.among_others || self.joined.all().len() == 1;
        match had {
            Some(had) if alone && self.out.is_none() => {
                let pieces = news.pieces.get(had..).unwrap_or_default();
                if !pieces.is_empty() {
                    let origins = std::iter::repeat(Origin::Member(index));
                    self.write(pieces, origins, tools.now);
                }
                false
            }
            _ => true,
        }
    }

    /// What comes next, from the outbox and from the channels.
    fn gather(&mut self, batch: &mut Batch, tools: &mut Tools) -> Result<(), TooSlow> {
        if let Some(out) = &self.out {
            out.gather(batch);
        }
        if self.phase != Phase::Open {
            return Ok(());
        }
        let mut frames = std::mem::take(&mut batch.frames);
        for (index, member) in self.joined.all_mut().iter_mut().enumerate() {
            if batch.is_full() {
                break;
            }
            member.listener.read(batch.room(), &mut frames)?;
            for frame in frames.drain(..) {
                let piece = tools.encoder.encode(&frame, self.form).clone();
                batch.push(piece, Origin::Member(index));
            }
        }
        batch.frames = frames;
        Ok(())
    }

    /// Write these pieces, and note what the socket took.
    fn write(&mut self, pieces: &[Bytes], origins: impl Iterator<Item = Origin>, now: u32) {
        if let Some(titles) = self.titles.take() {
            return self.write_titled(titles, pieces, origins, now);
        }
        let mut left = match outbox::write(&self.socket, pieces) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.block(now);
                return;
            }
            Err(error) => return self.fail(&error),
        };
        if left > 0 {
            self.stuck = 0;
        }
        for (piece, origin) in pieces.iter().zip(origins) {
            let taken = left.min(piece.len());
            if taken == 0 && !piece.is_empty() {
                return self.block(now);
            }
            left -= taken;
            self.took(origin, piece, taken);
            if taken < piece.len() {
                return self.block(now);
            }
        }
    }

    /// The same piece by piece, with the titles of the channels in between.
    fn write_titled(
        &mut self,
        mut titles: Box<Titles>,
        pieces: &[Bytes],
        origins: impl Iterator<Item = Origin>,
        now: u32,
    ) {
        for (piece, origin) in pieces.iter().zip(origins) {
            let (dressed, place) = match origin {
                // It was dressed when it was begun.
                Origin::Rest | Origin::Control => (piece.clone(), None),
                Origin::Own if titles.is_head() => (piece.clone(), Some(titles.behind_head(piece))),
                Origin::Own | Origin::Member(_) => {
                    let (dressed, place) = titles.dress(piece, self.title(origin).as_ref());
                    (dressed, Some(place))
                }
            };
            let taken = match outbox::write(&self.socket, std::slice::from_ref(&dressed)) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return self.fail(&error),
            };
            if taken == 0 && !dressed.is_empty() {
                self.block(now);
                break;
            }
            self.stuck = 0;
            if let Some(place) = place {
                titles.advance(place);
            }
            if origin == Origin::Own {
                let more = dressed.len() - piece.len();
                self.link.count_encoded(0, more);
                self.outbox().grow(more);
            }
            self.took(origin, &dressed, taken);
            if taken < dressed.len() {
                self.block(now);
                break;
            }
        }
        self.titles = Some(titles);
    }

    /// What plays in the channel that a piece came from.
    fn title(&self, origin: Origin) -> Option<Arc<Title>> {
        let Origin::Member(index) = origin else { return None };
        self.joined.all().get(index)?.listener.channel().title()
    }

    fn block(&mut self, now: u32) {
        self.blocked = true;
        if self.stuck == 0 {
            self.stuck = now;
        }
    }

    /// The socket took a piece, or the beginning of it.
    fn took(&mut self, origin: Origin, piece: &Bytes, taken: usize) {
        if let Origin::Member(index) = origin {
            if let Some(member) = self.joined.all_mut().get_mut(index) {
                member.listener.take(1);
            }
            if taken == piece.len() {
                return;
            }
        }
        let own = self.outbox().took(origin, piece, taken);
        self.link.count_out(own);
    }

    /// A channel that lets nobody miss a frame has passed the connection.
    fn passed(&mut self, tools: &mut Tools) {
        self.close_now(Ending::slow("the client reads more slowly than frames come"), tools);
    }
}
