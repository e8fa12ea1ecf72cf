#![allow(clippy::unwrap_used)]
use mp4_atom::{Any, Moof, Moov, ReadFrom};
use proptest::prelude::*;

use super::super::avc::tests::RECORD;
use super::*;

/// A picture of one unit.
const UNITS: &[u8] = &[0, 0, 0, 1, 9];

fn avc(level: u8) -> Packet<'static> {
    let mut record = RECORD.to_vec();
    record[3] = level;
    Packet::Avc(avc::Parameters::read(&record).unwrap())
}

fn aac() -> Packet<'static> {
    Packet::Aac(aac::Parameters::read(&[0x12, 0x10]).unwrap())
}

fn picture(is_key: bool) -> Packet<'static> {
    Packet::Picture { is_key, delay_ms: 0, units: UNITS }
}

/// A stream that is under way.
struct Stream {
    segmenter: Segmenter,
    made: Vec<Made>,
    now_ms: u64,
}

impl Stream {
    fn new() -> Self {
        Self { segmenter: Segmenter::new(2_000), made: Vec::new(), now_ms: 1_000_000 }
    }

    fn push(&mut self, timestamp: u32, packet: Packet<'_>) {
        self.made.extend(self.segmenter.push(timestamp, packet, self.now_ms).unwrap());
    }

    /// So many seconds of 10 pictures each, a key frame every other second, with sound if there is.
    fn play(&mut self, begin: u32, seconds: u32, with_sound: bool) {
        for at in (0..seconds * 1000).step_by(20) {
            self.now_ms += 20;
            if at % 100 == 0 {
                self.push(begin.wrapping_add(at), picture(at % 2000 == 0));
            }
            if with_sound {
                self.push(begin.wrapping_add(at), Packet::Sound(&[1, 2, 3]));
            }
        }
    }

    fn segments(&self) -> Vec<(i64, i64)> {
        let segment = |made: &Made| match made {
            Made::Segment(segment) => Some((segment.start_ms, segment.duration_ms)),
            Made::Part(_) => None,
        };
        self.made.iter().filter_map(segment).collect()
    }

    fn parts(&self) -> Vec<&str> {
        let mut parts = Vec::new();
        for made in &self.made {
            if let Made::Part(part) = made {
                parts.push(part.codecs.as_str());
            }
        }
        parts
    }
}

fn moof(mut bytes: &[u8]) -> (Moof, usize) {
    let Any::Styp(_) = Any::read_from(&mut bytes).unwrap() else { panic!() };
    let Any::Moof(moof) = Any::read_from(&mut bytes).unwrap() else { panic!() };
    let Any::Mdat(mdat) = Any::read_from(&mut bytes).unwrap() else { panic!() };
    (moof, mdat.data.len())
}

#[test]
fn a_stream_is_cut_at_its_key_frames() {
    let mut stream = Stream::new();
    stream.push(500, avc(30));
    stream.push(500, aac());
    stream.play(500, 7, true);
    assert_eq!(stream.segments(), [(0, 2000), (2000, 2000), (4000, 2000)]);
    assert_eq!(stream.parts(), ["avc1.64001e,mp4a.40.2"]);
    stream.made.extend(stream.segmenter.finish().unwrap());
    assert_eq!(stream.segments().len(), 4);
}

#[test]
fn a_fragment_says_when_it_begins_and_how_long_each_sample_is() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    stream.push(0, aac());
    stream.play(0, 5, true);
    let Made::Part(part) = &stream.made[0] else { panic!() };
    let mut bytes = part.bytes.as_slice();
    let Any::Ftyp(_) = Any::read_from(&mut bytes).unwrap() else { panic!() };
    let Any::Moov(Moov { trak, .. }) = Any::read_from(&mut bytes).unwrap() else { panic!() };
    assert_eq!(trak.len(), 2);
    let Made::Segment(segment) = &stream.made[2] else { panic!() };
    let (moof, bytes) = moof(&segment.bytes);
    let [video, audio] = moof.traf.as_slice() else { panic!() };
    assert_eq!(video.tfdt.as_ref().unwrap().base_media_decode_time, 2 * 90_000);
    let durations: Vec<u32> = video.trun[0].samples.iter().filter_map(|s| s.duration).collect();
    assert_eq!(durations, [9_000; 20]);
    let sounds = audio.trun[0].samples.len();
    assert!(audio.trun[0].samples.iter().all(|sample| sample.duration == Some(1024)));
    assert_eq!(bytes, 20 * UNITS.len() + sounds * 3);
}

#[test]
fn sound_goes_on_without_gaps_although_timestamps_are_rounded() {
    let mut stream = Stream::new();
    stream.push(0, aac());
    // 1,024 samples at 44,100 are 23.22 ms.
    for frame in 0..1000u32 {
        stream.push(frame * 1024 * 10 / 441, Packet::Sound(&[1]));
    }
    let mut next = 0;
    for made in &stream.made {
        let Made::Segment(segment) = made else { continue };
        let (moof, _) = moof(&segment.bytes);
        assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time, next);
        next += 1024 * moof.traf[0].trun[0].samples.len() as u64;
    }
    assert_eq!(stream.segments().len(), 11);
}

#[test]
fn a_stream_begins_with_a_key_frame_and_frames_before_their_parameters_are_left_out() {
    let mut stream = Stream::new();
    stream.push(0, picture(true));
    stream.push(0, Packet::Sound(&[1]));
    stream.push(0, avc(30));
    stream.push(0, aac());
    stream.push(40, picture(false));
    stream.push(40, Packet::Sound(&[1]));
    assert!(stream.segmenter.pictures.samples.is_empty());
    assert!(stream.segmenter.sounds.samples.is_empty());
    stream.push(80, picture(true));
    assert_eq!(stream.segmenter.pictures.samples[0].time, 0);
}

#[test]
fn other_parameters_or_tracks_begin_another_part() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    stream.push(0, aac());
    stream.play(0, 4, true);
    stream.push(4000, avc(31));
    stream.play(4000, 4, true);
    // The sound stays away.
    stream.play(8000, 4, false);
    stream.made.extend(stream.segmenter.finish().unwrap());
    let both = ["avc1.64001e,mp4a.40.2", "avc1.64001f,mp4a.40.2", "avc1.64001f"];
    assert_eq!(stream.parts(), both);
    // Each begins at 0.
    for (at, made) in stream.made.iter().enumerate() {
        let Made::Part(_) = made else { continue };
        let Made::Segment(segment) = &stream.made[at + 1] else { panic!() };
        let time = moof(&segment.bytes).0.traf[0].tfdt.as_ref().unwrap().base_media_decode_time;
        assert_eq!(time, 0);
    }
}

#[test]
fn a_last_segment_without_sound_is_of_the_same_part() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    stream.push(0, aac());
    stream.play(0, 4, true);
    stream.push(4000, picture(true));
    stream.made.extend(stream.segmenter.finish().unwrap());
    assert_eq!((stream.parts().len(), stream.segments().len()), (1, 3));
}

#[test]
fn a_jump_of_the_timestamps_leaves_no_gap() {
    for begin in [100, 4_000_000, 1 << 31] {
        let mut stream = Stream::new();
        stream.push(50_000, avc(30));
        stream.push(50_000, aac());
        stream.play(50_000, 5, true);
        stream.now_ms += 2_000;
        stream.play(begin, 6, true);
        stream.made.extend(stream.segmenter.finish().unwrap());
        let segments = stream.segments();
        assert!(segments.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0), "{segments:?}");
        let last = segments.last().unwrap();
        let end = last.0 + last.1;
        assert!((10_500..=11_300).contains(&end), "{end} ms after a jump to {begin}");
        assert_eq!(stream.parts().len(), 1);
    }
}

#[test]
fn timestamps_that_jump_all_the_time_end_the_stream() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    let mut said = None;
    for at in 0..100u32 {
        stream.now_ms += 2_000;
        let timestamp = (at % 2) * 1_000_000 + at * 40;
        said = stream.segmenter.push(timestamp, picture(true), stream.now_ms).err();
        if said.is_some() {
            break;
        }
    }
    assert!(said.unwrap().0.contains("jump again and again"));
}

#[test]
fn a_segment_without_a_key_frame_ends_in_time_and_by_its_bytes() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    stream.push(0, picture(true));
    for at in 1..30 {
        stream.push(at * 1000, picture(false));
    }
    assert_eq!(stream.segments(), [(0, 10_000), (10_000, 10_000)]);

    let mut stream = Stream::new();
    stream.push(0, avc(30));
    let mut units = vec![0x00, 0x10, 0x00, 0x00];
    units.resize(4 + (1 << 20), 1);
    for at in 0..40 {
        stream.push(at, Packet::Picture { is_key: at == 0, delay_ms: 0, units: &units });
        assert!(stream.segmenter.pictures.data.len() <= LARGEST);
    }
    assert!(stream.segments().len() > 4);
}

#[test]
fn a_segmenter_goes_on_from_what_was_saved() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    stream.push(0, aac());
    stream.play(0, 5, true);
    let saved = postcard::to_allocvec(&stream.segmenter).unwrap();
    stream.segmenter = postcard::from_bytes(&saved).unwrap();
    stream.play(5000, 5, true);
    assert_eq!(stream.parts().len(), 1);
    let segments = stream.segments();
    assert!(segments.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0), "{segments:?}");
}

#[test]
fn a_picture_of_broken_units_ends_the_stream() {
    let mut stream = Stream::new();
    stream.push(0, avc(30));
    let packet = Packet::Picture { is_key: true, delay_ms: 0, units: &[9, 9] };
    assert!(stream.segmenter.push(0, packet, 1).is_err());
}

proptest! {
    #[test]
    fn whatever_comes_segments_follow_each_other(
        packets in prop::collection::vec((any::<u32>(), 0..7u8, -20_000..20_000i32, 0..3000u64), 1..200),
        wild: bool,
    ) {
        let mut stream = Stream::new();
        let mut timestamp = 0u32;
        for (number, what, delay_ms, pause) in packets {
            timestamp = if wild { number } else { timestamp.wrapping_add(number % 500) };
            stream.now_ms += pause;
            let packet = match what {
                0 => avc((number % 3) as u8 + 30),
                1 => aac(),
                2 => Packet::Picture { is_key: true, delay_ms, units: UNITS },
                3 | 4 => Packet::Picture { is_key: false, delay_ms, units: UNITS },
                _ => Packet::Sound(&[1]),
            };
            match stream.segmenter.push(timestamp, packet, stream.now_ms) {
                Ok(made) => stream.made.extend(made),
                Err(_) => break,
            }
        }
        stream.made.extend(stream.segmenter.finish().unwrap());
        let segments = stream.segments();
        for pair in segments.windows(2) {
            prop_assert!(pair[0].0 <= pair[1].0, "{:?}", segments);
        }
        prop_assert!(segments.iter().all(|segment| (1..=30_000).contains(&segment.1)), "{:?}", segments);
        prop_assert!(segments.is_empty() || matches!(stream.made[0], Made::Part(_)));
    }
}
