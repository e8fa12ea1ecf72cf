//! Audio that any server takes for MP3.

use std::time::Duration;

/// Bytes of a second: 128 kbit/s.
pub const RATE: u64 = 16_000;
/// Samples of a second, and of a frame.
const SAMPLES: u64 = 44_100;
const FRAME: u64 = 1152;
/// Bytes of a frame, and what is over, in parts of [`SAMPLES`].
const BYTES: usize = (FRAME * RATE / SAMPLES) as usize;
const OVER: u64 = FRAME * RATE % SAMPLES;

/// Frames of MPEG-1 layer III with 128 kbit/s and 44.1 kHz. What they would sound like is nobody's
/// business: behind its header each is the same byte.
#[derive(Debug, Default)]
pub struct Sound {
    count: u64,
    over: u64,
}

impl Sound {
    /// When the next frame is due, from the first one on.
    pub fn due(&self) -> Duration {
        Duration::from_nanos(self.count * FRAME * 1_000_000_000 / SAMPLES)
    }
}

impl Iterator for Sound {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.count += 1;
        self.over += OVER;
        // A byte more, which the header tells, where otherwise it would be too slow.
        let padded = self.over >= SAMPLES;
        self.over -= if padded { SAMPLES } else { 0 };
        // As the length of a title it would be a long one: a player that has lost its place notices.
        let mut frame = vec![0x55; BYTES + usize::from(padded)];
        frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90 | u8::from(padded) << 1, 0]);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_minute_are_a_minute() {
        let mut sound = Sound::default();
        let mut bytes = 0;
        while sound.due() < Duration::from_secs(60) {
            let frame = sound.next().unwrap_or_default();
            let padding = usize::from(frame[2] == 0x92);
            assert_eq!(frame.len(), 417 + padding);
            bytes += frame.len() as u64;
        }
        assert!(bytes.abs_diff(60 * RATE) < 418, "{bytes}");
    }
}
