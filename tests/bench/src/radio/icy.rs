//! Tells a stream's audio from the titles in between.

use anyhow::{Result, ensure};

/// What a title begins with.
const BEGINNING: &[u8] = b"StreamTitle='";

/// The place of a player in a stream.
#[derive(Debug)]
pub struct Icy {
    /// Bytes of audio from one title to the next.
    interval: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// So many bytes of audio, then the length of a title.
    Audio(usize),
    /// A title: what came of it, and the bytes that are missing.
    Title(Vec<u8>, usize),
}

impl Icy {
    /// The beginning of a stream that has a title after each so many bytes.
    pub fn every(interval: usize) -> Self {
        Self { interval, place: Place::Audio(interval) }
    }

    /// The bytes of audio among these. Each title that ends in them is handed over.
    pub fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<u64> {
        let mut audio = 0;
        while let [first, behind @ ..] = bytes {
            match &mut self.place {
                Place::Audio(0) => {
                    bytes = behind;
                    self.place = match usize::from(*first) * 16 {
                        0 => Place::Audio(self.interval),
                        length => Place::Title(Vec::new(), length),
                    };
                }
                Place::Audio(left) => {
                    let length = bytes.len().min(*left);
                    *left -= length;
                    audio += length as u64;
                    bytes = &bytes[length..];
                }
                Place::Title(title, left) => {
                    let (more, rest) = bytes.split_at(bytes.len().min(*left));
                    title.extend_from_slice(more);
                    *left -= more.len();
                    bytes = rest;
                    if *left == 0 {
                        let text = String::from_utf8_lossy(title);
                        ensure!(title.starts_with(BEGINNING), "this is no title: {text}");
                        each(title);
                        self.place = Place::Audio(self.interval);
                    }
                }
            }
        }
        Ok(audio)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn titles_come_out_however_they_are_cut() {
        let one = b"StreamTitle='one';\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let stream = [b"audio\0audio\x02", &one[..], b"audio\0aud"].concat();
        for piece in 1..=stream.len() {
            let (mut icy, mut audio, mut titles) = (Icy::every(5), 0, Vec::new());
            for piece in stream.chunks(piece) {
                audio += icy.take(piece, |title| titles.push(title.to_vec())).unwrap();
            }
            assert_eq!((audio, titles), (18, vec![one.to_vec()]), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_player_that_has_lost_its_place_notices() {
        let mut icy = Icy::every(5);
        assert!(icy.take(&[0x55; 5 + 1 + 0x55 * 16], |_| ()).is_err());
    }
}
