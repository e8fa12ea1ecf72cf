#![allow(clippy::unwrap_used)]
use std::collections::HashMap;

use proptest::prelude::*;

use super::deck::*;
use crate::format::{Format, Parser, tests::*};

/// Files by their names, played in the order of the list, again and again.
struct Files {
    list: Vec<&'static str>,
    files: HashMap<&'static str, Vec<u8>>,
    is_away: bool,
}

impl Crate for Files {
    fn next(&mut self, deck: &mut Deck) -> Result<Option<Playing>, String> {
        let Some(name) = self.list.get(deck.place % self.list.len().max(1)) else {
            return Ok(None);
        };
        let parser = Parser::new(Format::of_name(name).unwrap(), None, deck.place as u32);
        Ok(Some(Playing::new(
            name.to_string(),
            format!("title of {name}"),
            name.to_string(),
            parser,
        )))
    }

    fn read(&mut self, blob: &str, offset: u64) -> Result<Option<Vec<u8>>, String> {
        if self.is_away {
            return Err("away".to_owned());
        }
        let file = self.files.get(blob);
        Ok(file.map(|file| file.iter().skip(offset as usize).take(CHUNK).copied().collect()))
    }
}

fn files(list: &[&'static str]) -> Files {
    let files = HashMap::from([
        ("a.mp3", mp3(200)),
        ("b.mp3", mp3(300)),
        ("c.ogg", opus(1, "c", 10)),
        ("none.mp3", vec![0; 9000]),
    ]);
    Files { list: list.to_vec(), files, is_away: false }
}

fn sound(due: &[Due]) -> Vec<u8> {
    let frame = |due: &Due| match due {
        Due::Frame(frame) => frame.bytes.clone(),
        Due::Title(_) => vec![],
    };
    due.iter().flat_map(frame).collect()
}

fn titles(due: &[Due]) -> Vec<&str> {
    due.iter()
        .filter_map(|due| if let Due::Title(title) = due { Some(title.as_str()) } else { None })
        .collect()
}

/// Seconds of sound of [`mp3`].
fn seconds(bytes: &[u8]) -> f64 {
    bytes.len() as f64 / 417.0 * 1152.0 / 44_100.0
}

#[test]
fn tracks_are_played_in_real_time_and_one_follows_the_other() {
    let (mut deck, mut files, mut all) = (Deck::default(), files(&["a.mp3", "b.mp3"]), vec![]);
    let start = 1_000_000;
    for now in (start..start + 20_000).step_by(250) {
        if !deck.is_ahead(now) {
            let (due, end) = deck.play(now, &mut files);
            assert_eq!(end, Ok(()));
            all.extend(due);
            deck = serde_json::from_slice(&serde_json::to_vec(&deck).unwrap()).unwrap();
        }
        // What who comes first gets, and then never too little and never too much.
        let ahead = seconds(&sound(&all)) - 4.0 - (now - start) as f64 / 1000.0;
        assert!((0.25..1.1).contains(&ahead), "{ahead} s ahead at {now}");
    }
    assert_eq!(
        titles(&all),
        ["a.mp3", "b.mp3", "a.mp3", "b.mp3"].map(|name| format!("title of {name}"))
    );
    let wanted = [mp3(200), mp3(300)].concat().repeat(4);
    assert!(wanted.starts_with(&sound(&all)), "a frame is missing or came twice");
}

#[test]
fn a_late_run_makes_up_for_what_a_player_has_and_for_no_more() {
    let (mut deck, mut files) = (Deck::default(), files(&["b.mp3"]));
    deck.play(1_000_000, &mut files).1.unwrap();
    for (late, wanted) in [(1_000, 1.0), (3_000, 3.0), (60_000, 5.0)] {
        let now = deck.due_ns / 1_000_000 - 1000 + late;
        let made_up = seconds(&sound(&deck.play(now, &mut files).0));
        assert!((made_up - wanted).abs() < 0.1, "{made_up} s after {late} ms");
    }
}

#[test]
fn what_was_interrupted_is_not_gone_on_with() {
    let (mut deck, mut files) = (Deck::default(), files(&["a.mp3", "b.mp3"]));
    deck.play(1_000_000, &mut files).1.unwrap();
    deck.interrupt(999_000);
    assert_eq!(deck.place, 0, "nothing came between");
    // Live until a moment ago: the sound begins there.
    deck.interrupt(1_060_000);
    let (due, _) = deck.play(1_060_200, &mut files);
    assert_eq!(titles(&due), ["title of b.mp3"]);
    assert!((seconds(&sound(&due)) - 1.2).abs() < 0.1);
    assert!(deck.is_heard(1_063_000) && !deck.is_heard(1_064_000));
}

#[test]
fn tracks_without_sound_are_passed_over_and_an_empty_list_is_silence() {
    let (mut deck, mut some) = (Deck::default(), files(&["none.mp3", "missing.mp3", "a.mp3"]));
    let (due, _) = deck.play(1_000_000, &mut some);
    assert!(seconds(&sound(&due)) > 4.9 && titles(&due).len() == 3);
    for list in [&["none.mp3"][..], &["missing.mp3"], &[]] {
        let (due, end) = Deck::default().play(1_000_000, &mut files(list));
        assert_eq!((sound(&due), end), (vec![], Ok(())));
    }
}

#[test]
fn a_store_that_is_away_ends_the_run_and_not_the_track() {
    let (mut deck, mut files) = (Deck::default(), files(&["b.mp3"]));
    deck.play(1_000_000, &mut files).1.unwrap();
    files.is_away = true;
    let (due, end) = deck.play(1_001_500, &mut files);
    assert_eq!((due, end), (vec![], Err("away".to_owned())));
    files.is_away = false;
    let (due, end) = deck.play(1_002_000, &mut files);
    assert!(end.is_ok() && titles(&due).is_empty() && seconds(&sound(&due)) > 1.9);
}

#[test]
fn each_track_of_ogg_begins_with_its_headers_under_a_number_of_its_own() {
    let (mut deck, mut files) = (Deck::default(), files(&["c.ogg"]));
    let mut serials = vec![];
    for now in (1_000_000..1_040_000).step_by(500) {
        for due in deck.play(now, &mut files).0 {
            if let Due::Frame(frame) = due
                && frame.is_headers
            {
                serials.push(frame.bytes[14]);
            }
        }
    }
    assert_eq!(serials, [0, 1, 2, 3, 4]);
}

proptest! {
    #[test]
    fn a_run_never_floods_whatever_is_in_a_track(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        repeat in 1..200usize,
        now in 10_000..u64::MAX / 2_000_000,
    ) {
        // Pages whose clock stands still.
        let page = ogg_page(0, 1, 0, &bytes);
        let file = [opus_headers(1, "x"), page.repeat(repeat)].concat();
        let mut files = files(&["c.ogg", "a.mp3"]);
        files.files.insert("c.ogg", file);
        files.files.insert("a.mp3", bytes);
        let (due, _) = Deck::default().play(now, &mut files);
        prop_assert!(sound(&due).len() < (1 << 20) + (70 << 10));
    }
}
