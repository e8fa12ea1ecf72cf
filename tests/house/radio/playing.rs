//! What plays: tracks and shows, live and silence, and the page that shows it.

use rustix::process::Signal;
use serde_json::json;

use crate::browser::Browser;

use super::{
    Radio, seconds,
    sound::{Listener, Program, Sound, tone},
};

#[tokio::test]
async fn tracks_play_until_somebody_is_live_and_again_behind() {
    let radio = Radio::start("").await;
    radio.playlist("lobby.mp3", &[220, 440], 30).await;
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 220").await;
    let listener = Listener::open(&radio.host, radio.dir(), "lobby.mp3", &[]);
    let titled = Listener::open(&radio.host, radio.dir(), "lobby.mp3", &["-H", "icy-metadata: 1"]);
    seconds(3).await;
    let file = tone(radio.dir(), "live.mp3", 880, 60);
    let source =
        Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &["-ice_name", "Night"]);
    let live = radio.until("lobby.mp3", |found| found["title"] == "LIVE -- ada").await;
    assert_eq!((&live["live"], &live["about"]["name"]), (&json!("ada"), &json!("Night")));
    seconds(3).await;
    drop(source);
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 440").await;
    seconds(3).await;
    let titled = titled.bytes();
    let heard = listener.stop();
    assert_eq!(heard.tones(), [220, 880, 440]);
    heard.is_whole();
    let titled = String::from_utf8_lossy(&titled);
    let mut from = 0;
    for title in ["Somebody - Tone of 220", "LIVE -- ada", "Somebody - Tone of 440"] {
        let at = titled[from..].find(&format!("StreamTitle='{title}';"));
        from += at.unwrap_or_else(|| panic!("no {title} behind {from}"));
    }
}

#[tokio::test]
async fn streams_of_ogg_follow_each_other_for_who_was_there_and_for_who_comes() {
    let radio = Radio::start("").await;
    radio.playlist("lobby.opus", &[220, 440], 30).await;
    radio.until("lobby.opus", |found| found["title"] == "Somebody - Tone of 220").await;
    let first = Listener::open(&radio.host, radio.dir(), "lobby.opus", &[]);
    seconds(4).await;
    let file = tone(radio.dir(), "live.opus", 880, 60);
    let source = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.opus"), &[]);
    radio.until("lobby.opus", |found| found["title"] == "Somebody - Tone of 880").await;
    // Nothing is heard of the stream before, whose headers are no longer sent.
    let second = Listener::open(&radio.host, radio.dir(), "lobby.opus", &[]);
    seconds(4).await;
    drop(source);
    radio.until("lobby.opus", |found| found["title"] == "Somebody - Tone of 440").await;
    seconds(4).await;
    for (listener, tones) in [(first, &[220, 880, 440][..]), (second, &[880, 440])] {
        let heard = listener.stop();
        assert_eq!(heard.tones(), tones, "{}", heard.complaints);
        heard.is_whole();
    }
}

#[tokio::test]
async fn a_source_that_falls_silent_is_stood_in_for_until_it_is_back() {
    let radio = Radio::start("silence = \"1\"\n").await;
    radio.playlist("lobby.mp3", &[220], 60).await;
    let file = tone(radio.dir(), "live.mp3", 880, 60);
    let source = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &[]);
    radio.until("lobby.mp3", |found| found["live"] == "ada").await;
    seconds(2).await;
    let listener = Listener::open(&radio.host, radio.dir(), "lobby.mp3", &[]);
    seconds(3).await;
    source.signal(Signal::STOP);
    radio.until("lobby.mp3", |found| found["live"].is_null() && found["sounds"] == true).await;
    seconds(2).await;
    source.signal(Signal::CONT);
    radio.until("lobby.mp3", |found| found["title"] == "LIVE -- ada").await;
    seconds(2).await;
    let heard = listener.stop();
    // What played before is in the burst.
    assert_eq!(heard.tones(), [220, 880, 220, 880]);
    heard.is_whole();
}

#[tokio::test]
async fn a_show_plays_at_its_time_and_the_playlist_around_it() {
    let radio = Radio::start("").await;
    radio.playlist("lobby.mp3", &[220, 660], 30).await;
    let put = radio.api("PUT", "/radio/playlists/lobby.mp3", r#"["220.mp3"]"#).await;
    assert_eq!(put.status, 204);
    let time = |ahead: i64| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        jiff::Timestamp::from_millisecond(i64::try_from(now).unwrap() + ahead).unwrap().to_string()
    };
    let show = json!([{"mount": "lobby.mp3", "title": "Show", "from": time(6000), "to": time(11_000), "tracks": ["660.mp3"]}]);
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 220").await;
    let listener = Listener::open(&radio.host, radio.dir(), "lobby.mp3", &[]);
    assert_eq!(radio.api("PUT", "/radio/shows", show.to_string()).await.status, 204);
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 660").await;
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 220").await;
    seconds(2).await;
    let heard = listener.stop();
    assert_eq!(heard.tones(), [220, 660, 220]);
    heard.is_whole();
}

#[tokio::test]
async fn the_page_shows_what_plays_and_plays_it() {
    let radio = Radio::start("").await;
    radio.playlist("lobby.mp3", &[220], 60).await;
    let about = json!({"name": "Lobby <b>", "genre": "tones", "bitrate": 128});
    assert_eq!(radio.api("PUT", "/radio/mounts/lobby.mp3", about.to_string()).await.status, 204);
    radio.until("lobby.mp3", |found| found["sounds"] == true).await;
    let url = radio.host.url("/radio/lobby.mp3");
    for (list, kind) in
        [("m3u", "audio/x-mpegurl"), ("pls", "audio/x-scpls"), ("xspf", "application/xspf+xml")]
    {
        for path in [format!("/radio/lobby.{list}"), format!("/lobby.mp3.{list}")] {
            let answer = radio.host.get(&path).await;
            assert_eq!(
                (answer.status, &answer.headers["content-type"]),
                (200, &kind.parse().unwrap()),
                "{path}"
            );
            assert!(answer.text().contains(&url), "{}", answer.text());
        }
    }
    assert_eq!(radio.host.get("/radio/none.mp3").await.status, 404);
    assert_eq!(radio.host.get("/none.m3u").await.status, 404);

    let mut browser = Browser::open(&radio.host.url("/radio")).await;
    let main = "document.getElementById('mounts').innerText";
    browser.until(&format!("{main}.includes('Tone of 220')"), main).await;
    let text = browser.value(main).await;
    assert!(text.as_str().unwrap().contains("Lobby <b>"), "{text}");
    browser.value("document.querySelector('article button').click()").await;
    let playing = "document.getElementById('audio').currentTime > 1";
    browser.until(playing, "document.getElementById('audio').error?.message ?? 'no error'").await;
    radio.until("lobby.mp3", |found| found["listeners"] == 1).await;
    browser.value("document.getElementById('toggle').click()").await;
    radio.until("lobby.mp3", |found| found["listeners"] == 0 && found["peak"] == 1).await;
}

#[tokio::test]
async fn what_was_kept_is_played_on_after_a_kill() {
    let mut radio = Radio::start("").await;
    radio.playlist("lobby.mp3", &[220], 60).await;
    radio.until("lobby.mp3", |found| found["sounds"] == true).await;
    radio.host.kill();
    radio.host.run().await;
    radio
        .until("lobby.mp3", |found| {
            found["title"] == "Somebody - Tone of 220" && found["sounds"] == true
        })
        .await;
    let listener =
        Listener::open(&radio.host, radio.dir(), "lobby.mp3", &["-H", "icy-metadata: 1"]);
    seconds(3).await;
    let bytes = listener.bytes();
    drop(listener);
    assert!(String::from_utf8_lossy(&bytes).contains("StreamTitle='Somebody - Tone of 220';"));
    assert!(bytes.len() > 60_000, "{} bytes", bytes.len());
    let tracks = radio.api("GET", "/radio/tracks", "").await.json();
    assert_eq!(tracks[0]["seconds"].as_f64().map(f64::round), Some(60.0), "{tracks}");
    assert!(Sound::of(&radio.api("GET", "/radio/tracks/220.mp3", "").await.body).seconds() > 59.0);
}
