//! The handshake, in its simple form, which clients that offer the one with digests accept too.

use serde::{Deserialize, Serialize};

use super::Broken;

/// The bytes of C1, C2, S1 and S2.
const SIZE: usize = 1536;
/// The one version of RTMP that is spoken in the clear.
const VERSION: u8 = 3;

/// How far the handshake has come.
#[derive(Debug, Serialize, Deserialize)]
pub enum Handshake {
    /// What there is of C0 and C1.
    Hello(Vec<u8>),
    /// So many bytes of C2 have yet to come. They echo ours and say nothing new.
    Echo(usize),
}

impl Default for Handshake {
    fn default() -> Self {
        Self::Hello(Vec::new())
    }
}

impl Handshake {
    /// Take from the input what belongs to the handshake, and write the answer; whether it is done.
    pub fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Broken> {
        if let Self::Hello(hello) = self {
            if let (true, Some(first)) = (hello.is_empty(), input.first()) {
                check(*first)?;
            }
            take(input, 1 + SIZE - hello.len(), |bytes| hello.extend_from_slice(bytes));
            if hello.len() <= SIZE {
                return Ok(false);
            }
            out.push(VERSION);
            // Zeros as the version ask for the simple form; what follows may be anything.
            out.resize(out.len() + SIZE, 0);
            out.extend(hello.iter().skip(1));
            *self = Self::Echo(SIZE);
        }
        if let Self::Echo(left) = self {
            *left -= take(input, *left, |_| ());
            return Ok(*left == 0);
        }
        Ok(false)
    }
}

/// Hand over at most so many bytes of the input; how many it were.
fn take(input: &mut &[u8], most: usize, to: impl FnOnce(&[u8])) -> usize {
    let (taken, rest) = input.split_at(most.min(input.len()));
    to(taken);
    *input = rest;
    taken.len()
}

fn check(first: u8) -> Result<(), Broken> {
    match first {
        VERSION => Ok(()),
        6 | 8 => Broken::because("RTMPE is not spoken here: publish to rtmp://"),
        0x16 => Broken::because("this port does not speak TLS: publish to rtmp://"),
        b'A'..=b'Z' => Broken::because("this port speaks RTMP, not HTTP"),
        other => Broken::because(format!("the first byte is {other}: this port speaks RTMP")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_answer_is_the_same_however_the_hello_is_cut() {
        let mut hello = vec![VERSION];
        hello.extend((0..2 * SIZE).map(|at| at as u8));
        hello.extend_from_slice(b"more");
        for size in [1, 7, 1536, 1537, 5000] {
            let (mut handshake, mut out, mut left) = (Handshake::default(), Vec::new(), Vec::new());
            for piece in hello.chunks(size) {
                let mut input = piece;
                if handshake.step(&mut input, &mut out).unwrap() {
                    left.extend_from_slice(input);
                }
            }
            assert_eq!(left, b"more", "in pieces of {size}");
            assert_eq!(out.len(), 1 + 2 * SIZE);
            assert_eq!((out[0], &out[1 + SIZE..]), (VERSION, &hello[1..=SIZE]));
        }
    }

    #[test]
    fn who_does_not_speak_rtmp_is_told_so_at_the_first_byte() {
        for (first, word) in [(b'G', "HTTP"), (0x16, "TLS"), (6, "RTMPE"), (0, "first byte is 0")] {
            let said = Handshake::default().step(&mut &[first][..], &mut Vec::new());
            assert!(said.unwrap_err().0.contains(word));
        }
    }
}
