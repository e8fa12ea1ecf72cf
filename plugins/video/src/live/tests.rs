#![allow(clippy::unwrap_used)]
use super::*;
use crate::media::{audio, video};
use crate::shelf::memory::Memory;
use crate::stream::State;

const RECORD: &[u8] = &crate::media::RECORD;
const NOW: u64 = 1_800_000_000_000;

fn settings() -> Settings {
    let apps = ["live", "vj"].map(str::to_owned).to_vec();
    Settings::of(apps, "live/*:key", vec!["live".to_owned()], "2", "3", "15").unwrap()
}

fn name() -> Name {
    Name::new("live", "show").unwrap()
}

/// Publish so many seconds, with a key frame every other one.
fn play(live: &mut Live, shelf: &mut Memory, now_ms: u64, seconds: u32) -> Result<(), Refused> {
    let parameters = [&[0x17, 0, 0, 0, 0], RECORD].concat();
    live.push(shelf, 0, video(&parameters).unwrap(), now_ms)?;
    live.push(shelf, 0, audio(&[0xaf, 0, 0x12, 0x10]).unwrap(), now_ms)?;
    for at in (0..seconds * 1000).step_by(100) {
        let first = if at % 2000 == 0 { 0x17 } else { 0x27 };
        let now_ms = now_ms + u64::from(at);
        let picture = [first, 1, 0, 0, 0, 0, 0, 0, 1, 9];
        live.push(shelf, at, video(&picture).unwrap(), now_ms)?;
        live.push(shelf, at, audio(&[0xaf, 1, 7]).unwrap(), now_ms)?;
    }
    Ok(())
}

fn begin(shelf: &mut Memory, now_ms: u64) -> Result<Live, Refused> {
    Live::begin(shelf, &settings(), name(), now_ms)
}

#[test]
fn segments_are_kept_and_listed_and_old_ones_removed() {
    let mut shelf = Memory::default();
    let mut live = begin(&mut shelf, NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 19).unwrap();
    let stream = shelf.streams[&name()].clone();
    assert_eq!((stream.state(NOW + 19_000), stream.gone), (State::Live, 3));
    assert_eq!(stream.shown(3).0[0].file, format!("{NOW}-6.m4s"));
    assert_eq!(stream.segments[5].at_ms, NOW + 16_000);
    // Six segments, and their initialisation.
    assert_eq!(shelf.files.len(), 7);
    for segment in &stream.segments {
        assert!(shelf.files.contains_key(&format!("live/show/{}", segment.file)));
        assert!(shelf.files.contains_key(&format!("live/show/{}", segment.init)));
    }
    live.end(&mut shelf, NOW + 19_000);
    assert_eq!(shelf.streams[&name()].ended_ms, Some(NOW + 19_000));
    assert_eq!(shelf.streams[&name()].segments.last().unwrap().duration_ms, 1000);
}

#[test]
fn a_recording_is_all_of_a_part_in_one_file() {
    let mut shelf = Memory::default();
    let mut live = begin(&mut shelf, NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 5).unwrap();
    let pieces: Vec<u8> =
        ["init-1800000000000-1.mp4", "1800000000000-0.m4s", "1800000000000-1.m4s"]
            .iter()
            .flat_map(|file| shelf.files[&format!("live/show/{file}")].clone())
            .collect();
    assert_eq!(shelf.recordings["live/show/2027-01-15T08-00-02-000Z-1.mp4"], pieces);
    // Not in an application that is not recorded.
    let mut live =
        Live::begin(&mut shelf, &settings(), Name::new("vj", "show").unwrap(), NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 5).unwrap();
    assert_eq!(shelf.recordings.len(), 1);
}

#[test]
fn a_name_that_is_live_is_refused_and_one_that_fell_silent_is_taken_over() {
    let mut shelf = Memory::default();
    let mut first = begin(&mut shelf, NOW).unwrap();
    play(&mut first, &mut shelf, NOW, 5).unwrap();
    let Err(Refused::Taken(said)) = begin(&mut shelf, NOW + 5_000) else { panic!() };
    assert!(said.contains("`live/show` is live already"));
    // Something comes, though no segment is whole.
    first.renew(&mut shelf, NOW + 7_000).unwrap();
    assert!(begin(&mut shelf, NOW + 11_999).is_err());
    // Nothing came since, so it does not say that it is there.
    first.renew(&mut shelf, NOW + 11_000).unwrap();
    let mut second = begin(&mut shelf, NOW + 12_000).unwrap();
    let Err(Refused::Taken(said)) = play(&mut first, &mut shelf, NOW + 13_000, 5) else { panic!() };
    assert!(said.contains("took `live/show` over"), "{said}");
    // Its end is not that of the stream.
    first.end(&mut shelf, NOW + 14_000);
    assert_eq!(shelf.streams[&name()].ended_ms, None);
    play(&mut second, &mut shelf, NOW + 14_000, 5).unwrap();
    let stream = &shelf.streams[&name()];
    let breaks: Vec<bool> = stream.segments.iter().map(|segment| segment.is_break).collect();
    assert_eq!(breaks, [false, false, true, false]);
}

#[test]
fn a_stream_goes_on_where_a_segment_could_not_be_kept() {
    let mut shelf = Memory::default();
    let mut live = begin(&mut shelf, NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 5).unwrap();
    shelf.is_full = true;
    play(&mut live, &mut shelf, NOW + 60_000, 5).unwrap();
    shelf.is_full = false;
    play(&mut live, &mut shelf, NOW + 120_000, 5).unwrap();
    let stream = &shelf.streams[&name()];
    assert!(stream.segments.iter().any(|segment| segment.is_break));
    assert!(stream.segments.len() >= 3);
}

#[test]
fn what_is_left_of_a_stream_is_removed_a_while_after_its_end() {
    let mut shelf = Memory::default();
    let mut live = begin(&mut shelf, NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 5).unwrap();
    live.end(&mut shelf, NOW + 5_000);
    sweep(&mut shelf, NOW + 304_000).unwrap();
    assert_eq!(shelf.files.len(), 4);
    sweep(&mut shelf, NOW + 305_000).unwrap();
    assert_eq!(shelf.files.len(), 0);
    assert_eq!(shelf.recordings.len(), 1);
    // The numbers of its segments go on.
    let mut live = begin(&mut shelf, NOW + 400_000).unwrap();
    play(&mut live, &mut shelf, NOW + 400_000, 5).unwrap();
    assert_eq!(shelf.streams[&name()].shown(3).1, 3);
}

#[test]
fn what_was_saved_goes_on() {
    let mut shelf = Memory::default();
    let mut live = begin(&mut shelf, NOW).unwrap();
    play(&mut live, &mut shelf, NOW, 3).unwrap();
    let saved = postcard::to_allocvec(&live).unwrap();
    drop(live);
    let live: Live = postcard::from_bytes(&saved).unwrap();
    live.end(&mut shelf, NOW + 3_000);
    let stream = &shelf.streams[&name()];
    assert_eq!(stream.segments.len(), 2);
    assert!(stream.segments.iter().all(|segment| !segment.is_break));
}
