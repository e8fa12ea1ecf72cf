//! H.264: the parameters of a stream, and the units that a picture is made of.

use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal};
use mp4_atom::{Atom, Avcc};
use serde::{Deserialize, Serialize};

/// The longest parameters; those of encoders have less than a hundred bytes.
const MOST: usize = 4 << 10;
/// The widest and the highest picture.
const LARGEST: u32 = 8192;

/// What decoders have to know before the first picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The AVC decoder configuration record, as it came.
    pub record: Vec<u8>,
    /// In pixels, as it is shown.
    pub width: u16,
    pub height: u16,
    /// How many bytes the length of a unit has, 1 to 4.
    length_size: usize,
}

impl Parameters {
    /// Read a decoder configuration record; the error is a sentence for the publisher.
    pub fn read(record: &[u8]) -> Result<Self, String> {
        if record.len() > MOST {
            let length = record.len();
            return Err(format!(
                "the video's parameters have {length} bytes: at most {MOST} may come"
            ));
        }
        let unreadable = |what: &str| format!("the video's parameters cannot be read: {what}");
        let parsed = AvcDecoderConfigurationRecord::try_from(record)
            .map_err(|error| unreadable(&format!("{error:?}")))?;
        let Some(Ok(set)) = parsed.sequence_parameter_sets().next() else {
            return Err(unreadable("there is no sequence parameter set"));
        };
        let Some(Ok(_)) = parsed.picture_parameter_sets().next() else {
            return Err(unreadable("there is no picture parameter set"));
        };
        let set = SeqParameterSet::from_bits(RefNal::new(set, &[], true).rbsp_bits())
            .map_err(|error| unreadable(&format!("{error:?}")))?;
        Avcc::decode_body(&mut &record[..]).map_err(|error| unreadable(&error.to_string()))?;
        let (width, height) =
            set.pixel_dimensions().map_err(|error| unreadable(&format!("{error:?}")))?;
        match (width, height) {
            (1..=LARGEST, 1..=LARGEST) => Ok(Self {
                record: record.to_vec(),
                width: width as u16,
                height: height as u16,
                length_size: usize::from(parsed.length_size_minus_one()) + 1,
            }),
            _ => Err(unreadable(&format!("a picture of {width} by {height} pixels"))),
        }
    }

    /// The codec as RFC 6381 names it.
    pub fn codec(&self) -> String {
        let byte = |at: usize| self.record.get(at).copied().unwrap_or_default();
        format!("avc1.{:02x}{:02x}{:02x}", byte(1), byte(2), byte(3))
    }

    /// Whether a picture is a sequence of units that fill it.
    pub fn fits(&self, mut units: &[u8]) -> bool {
        while !units.is_empty() {
            let Some((length, rest)) = units.split_at_checked(self.length_size) else {
                return false;
            };
            let length = length.iter().fold(0, |sum: usize, byte| sum << 8 | usize::from(*byte));
            let Some(rest) = rest.get(length..) else { return false };
            units = rest;
        }
        true
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// What x264 says of a picture of 640 by 360.
    pub const RECORD: [u8; 47] = [
        0x01, 0x64, 0x00, 0x1e, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40,
        0xa0, 0x2f, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32,
        0x0f, 0x16, 0x2d, 0x96, 0x01, 0x00, 0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8,
        0xf8, 0x00,
    ];

    #[test]
    fn parameters_tell_the_size_and_the_codec() {
        let parameters = Parameters::read(&RECORD).unwrap();
        assert_eq!((parameters.width, parameters.height), (640, 360));
        assert_eq!(parameters.codec(), "avc1.64001e");
    }

    #[test]
    fn parameters_that_are_too_long_or_cut_short_are_refused() {
        let long = vec![1; 1 << 20];
        assert!(Parameters::read(&long).unwrap_err().contains("1048576 bytes"));
        for length in 0..43 {
            assert!(Parameters::read(&RECORD[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_picture_is_filled_by_its_units() {
        let parameters = Parameters::read(&RECORD).unwrap();
        assert!(parameters.fits(&[0, 0, 0, 1, 9, 0, 0, 0, 2, 9, 9]));
        for units in
            [&[0, 0, 0][..], &[0, 0, 0, 2, 9], &[255, 255, 255, 255, 9], &[0, 0, 0, 1, 9, 1]]
        {
            assert!(!parameters.fits(units), "{units:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parameters_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..100), at in 0..47usize, byte: u8, tail: bool
        ) {
            let _ = Parameters::read(&bytes);
            let mut record = RECORD.to_vec();
            record[at] = byte;
            if tail {
                // A set of parameters that goes on with anything.
                record.splice(12..34, bytes);
            }
            let _ = Parameters::read(&record);
        }
    }
}
