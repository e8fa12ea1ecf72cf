//! What plays, told among the bytes of a stream: the metadata of Icecast's listeners ("ICY").
//!
//! After each so many bytes of a stream comes a block: its length in units of 16 bytes in one byte,
//! and `StreamTitle='...';` filled up with zeros. Where the title is the one told before, the length
//! is 0 and nothing follows. The bytes of the answer's head do not count.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::backends::channels::Title;

/// The place of one connection among its blocks.
pub struct Titles {
    /// Bytes from one block to the next.
    interval: u32,
    place: Place,
}

/// Where a connection is.
#[derive(Clone)]
pub struct Place {
    /// Bytes until the next block.
    left: u32,
    /// What was told last.
    told: Option<Arc<Title>>,
    /// Bytes of the head that are yet to be written.
    head: usize,
}

impl Titles {
    /// Blocks after each `interval` bytes.
    pub fn every(interval: u32) -> Self {
        let interval = interval.max(1);
        Self { interval, place: Place { left: interval, told: None, head: 0 } }
    }

    /// So many bytes come before the stream begins.
    pub fn begin_behind(&mut self, head: usize) {
        self.place.head += head;
    }

    /// Whether what is written next is of the head.
    pub fn is_head(&self) -> bool {
        self.place.head > 0
    }

    /// The place behind a piece of the head.
    pub fn behind_head(&self, piece: &Bytes) -> Place {
        let head = self.place.head.saturating_sub(piece.len());
        Place { head, ..self.place.clone() }
    }

    /// The piece with the blocks that fall into it, and the place behind it, which is taken with
    /// [`Titles::advance`] once the socket has at least the beginning.
    pub fn dress(&self, piece: &Bytes, title: Option<&Arc<Title>>) -> (Bytes, Place) {
        let mut place = self.place.clone();
        if piece.len() < place.left as usize {
            place.left -= piece.len() as u32;
            return (piece.clone(), place);
        }
        let mut dressed = BytesMut::with_capacity(piece.len() + 256);
        let mut rest = &piece[..];
        while rest.len() >= place.left as usize {
            let (before, behind) = rest.split_at(place.left as usize);
            dressed.put_slice(before);
            dressed.put_slice(place.block(title));
            (rest, place.left) = (behind, self.interval);
        }
        dressed.put_slice(rest);
        place.left -= rest.len() as u32;
        (dressed.freeze(), place)
    }

    /// Go on from there.
    pub fn advance(&mut self, place: Place) {
        self.place = place;
    }
}

impl Place {
    /// The next block.
    fn block<'a>(&mut self, title: Option<&'a Arc<Title>>) -> &'a [u8] {
        let Some(title) = title else { return &[0] };
        if self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, title)) {
            return &[0];
        }
        self.told = Some(title.clone());
        title.block()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a player makes of a stream: the audio, and the titles in order.
    fn played(interval: usize, mut stream: &[u8]) -> (Vec<u8>, Vec<String>) {
        let (mut audio, mut titles) = (Vec::new(), Vec::new());
        while stream.len() > interval {
            audio.extend(&stream[..interval]);
            let (block, rest) = stream[interval + 1..].split_at(stream[interval] as usize * 16);
            if !block.is_empty() {
                let text = String::from_utf8_lossy(block);
                titles.push(text.trim_end_matches('\0').to_owned());
            }
            stream = rest;
        }
        audio.extend(stream);
        (audio, titles)
    }

    fn write(titles: &mut Titles, piece: Bytes, title: &Arc<Title>) -> Bytes {
        let (dressed, place) = titles.dress(&piece, Some(title));
        titles.advance(place);
        dressed
    }

    proptest! {
        #[test]
        fn a_player_gets_all_audio_and_each_title_once(
            interval in 1_u32..600, lengths in prop::collection::vec(0_usize..1000, 1..20),
        ) {
            let (one, two) = (Arc::new(Title::new("one")), Arc::new(Title::new("two's")));
            let mut titles = Titles::every(interval);
            let (mut audio, mut stream) = (Vec::new(), Vec::new());
            for (index, length) in lengths.iter().enumerate() {
                let piece: Bytes = (0..*length).map(|byte| (byte * 7 + index) as u8).collect();
                let title = if index < lengths.len() / 2 { &one } else { &two };
                stream.extend(write(&mut titles, piece.clone(), title));
                audio.extend(piece);
            }
            // What the last block is may be the end of the stream.
            stream.push(0);
            let (heard, told) = played(interval as usize, &stream);
            prop_assert_eq!(&heard[..audio.len()], &audio[..]);
            let all = ["StreamTitle='one';", "StreamTitle='two's';"];
            prop_assert!(told.is_empty() || told == all || told == all[..1] || told == all[1..]);
        }
    }

    #[test]
    fn a_piece_that_the_socket_did_not_take_is_dressed_again() {
        let title = Arc::new(Title::new("one"));
        let titles = Titles::every(4);
        let first = titles.dress(&"abcdef".into(), Some(&title)).0;
        let again = titles.dress(&"abcdef".into(), Some(&title)).0;
        assert_eq!(first, again);
        assert_eq!(&first[..5], b"abcd\x02");
    }

    #[test]
    fn the_head_is_not_of_the_stream() {
        let mut titles = Titles::every(4);
        titles.begin_behind(10);
        assert!(titles.is_head());
        titles.advance(titles.behind_head(&"0123456789".into()));
        assert!(!titles.is_head());
        assert_eq!(&titles.dress(&"abcd".into(), None).0[..], b"abcd\0");
    }
}
