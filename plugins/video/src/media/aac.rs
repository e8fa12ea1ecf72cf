//! AAC: the parameters of a stream of sound.

use serde::{Deserialize, Serialize};

/// The longest parameters; those of encoders have two to seven bytes.
const MOST: usize = 64;
/// Samples a second, by the number that parameters have for them.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// The number that stands for a rate written out.
const WRITTEN_OUT: u32 = 15;

/// What decoders have to know before the first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The AudioSpecificConfig, as it came.
    pub config: Vec<u8>,
    /// Samples a second, 7,350 to 96,000.
    pub rate: u32,
    /// 1 to 8; 2 where the stream itself says.
    pub channels: u16,
    /// Samples of a frame.
    pub frame: u32,
    /// The kind of AAC: 2 is low complexity.
    kind: u8,
}

impl Parameters {
    /// Read an AudioSpecificConfig; the error is a sentence for the publisher.
    pub fn read(config: &[u8]) -> Result<Self, String> {
        let length = config.len();
        if length > MOST {
            return Err(format!(
                "the audio's parameters have {length} bytes: at most {MOST} may come"
            ));
        }
        let mut bits = Bits { bytes: config, at: 0 };
        Self::parse(config, &mut bits).ok_or_else(|| {
            "the audio's parameters cannot be read: send AAC-LC or HE-AAC".to_owned()
        })
    }

    fn parse(config: &[u8], bits: &mut Bits<'_>) -> Option<Self> {
        let kind = bits.take(5)?;
        let rate = bits.rate()?;
        let channels = bits.take(4)?;
        // Spectral band replication and parametric stereo wrap another kind, which has frames of
        // its own at the rate that was said first.
        let inner = match kind {
            5 | 29 => {
                bits.rate()?;
                bits.take(5)?
            }
            kind => kind,
        };
        // Main, low complexity, scalable sampling rate and long term prediction.
        if !(1..=4).contains(&inner) {
            return None;
        }
        let short_frames = bits.take(1)? == 1;
        let channels = match channels {
            0 => 2,
            7 => 8,
            channels @ 1..=6 => channels as u16,
            _ => return None,
        };
        let frame = if short_frames { 960 } else { 1024 };
        Some(Self { config: config.to_vec(), rate, channels, frame, kind: kind as u8 })
    }

    /// The codec as RFC 6381 names it.
    pub fn codec(&self) -> String {
        format!("mp4a.40.{}", self.kind)
    }
}

/// Reads bits, the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let bit = self.bytes.get(at / 8)? >> (7 - at % 8) & 1;
            value = value << 1 | u32::from(bit);
        }
        self.at += count;
        Some(value)
    }

    fn rate(&mut self) -> Option<u32> {
        let rate = match self.take(4)? {
            WRITTEN_OUT => self.take(24)?,
            number => *RATES.get(number as usize)?,
        };
        (7_350..=96_000).contains(&rate).then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters_tell_rate_channels_and_codec() {
        let lc = Parameters::read(&[0x12, 0x10]).unwrap();
        assert_eq!((lc.rate, lc.channels, lc.frame), (44_100, 2, 1024));
        assert_eq!(lc.codec(), "mp4a.40.2");
        // 48 kHz, mono, frames of 960.
        let short = Parameters::read(&[0x11, 0x8c]).unwrap();
        assert_eq!((short.rate, short.channels, short.frame), (48_000, 1, 960));
        // HE-AAC: 24 kHz inside, 48 kHz outside.
        let he = Parameters::read(&[0x2b, 0x11, 0x88, 0x00]).unwrap();
        assert_eq!((he.rate, he.channels, he.codec()), (24_000, 2, "mp4a.40.5".to_owned()));
        // 48,000 written out.
        let bits = Parameters::read(&[0x17, 0x80, 0x5d, 0xc0, 0x10]).unwrap();
        assert_eq!((bits.rate, bits.channels), (48_000, 2));
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        for config in [&[][..], &[0x12], &[0xff, 0xff], &[0x16, 0x90], &[0x12, 0x78], &[0; 65]] {
            assert!(Parameters::read(config).is_err(), "{config:?}");
        }
    }
}
