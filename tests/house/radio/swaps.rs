//! New versions while somebody is live, and recordings.

use std::{fs, time::Duration};

use rustix::process::Signal;

use super::{
    Radio, seconds,
    sound::{Listener, Program, tone},
};

/// How often the plugin is replaced while somebody is live.
const SWAPS: u64 = 20;

#[tokio::test]
async fn the_radio_is_replaced_many_times_while_somebody_is_live_and_no_byte_is_lost() {
    let radio = Radio::start("").await;
    let file = tone(radio.dir(), "live.mp3", 880, 120);
    let source = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &[]);
    radio.until("lobby.mp3", |found| found["live"] == "ada").await;
    seconds(1).await;
    let listener = Listener::open(&radio.host, radio.dir(), "lobby.mp3", &[]);
    for number in 1..=SWAPS {
        radio.install(&format!("2.0.{number}")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    seconds(1).await;
    let heard = listener.bytes();
    listener.stop().is_whole();
    let sent = fs::read(&file).unwrap();
    assert!(heard.len() > 100_000, "{} bytes", heard.len());
    assert!(sent.windows(heard.len()).any(|part| part == heard), "something is missing");

    // And so the recording, which is one.
    source.signal(Signal::INT);
    radio.until("lobby.mp3", |found| found["live"].is_null()).await;
    let recording = radio.host.eventually(async || {
        let recordings = radio.api("GET", "/radio/recordings", "").await.json();
        let log = radio.host.log();
        match log.contains("INFO plugin: recorded lobby.mp3/") {
            true => Ok(recordings),
            false => Err(format!("not written yet: {recordings}")),
        }
    });
    let recording = recording.await;
    assert_eq!(recording.as_array().unwrap().len(), 1, "{recording}");
    let (url, name) =
        (recording[0]["url"].as_str().unwrap(), recording[0]["name"].as_str().unwrap());
    let answer = radio.api("GET", url, "").await;
    assert_eq!(answer.headers["content-type"], "audio/mpeg");
    assert!(
        sent.windows(answer.body.len()).any(|part| part == answer.body),
        "the recording has a gap"
    );
    let made = radio.api("PUT", &format!("/radio/tracks/show.mp3?recording={name}"), "").await;
    assert_eq!((made.status, &made.json()["seconds"]), (201, &recording[0]["seconds"]));
    assert_eq!(radio.host.get(url).await.status, 401);
}

#[tokio::test]
async fn who_comes_back_goes_on_with_the_recording_and_a_short_one_is_dropped() {
    let radio = Radio::start("").await;
    let file = tone(radio.dir(), "live.mp3", 880, 60);
    for _ in 0..2 {
        let source = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &[]);
        radio.until("lobby.mp3", |found| found["live"] == "ada").await;
        seconds(3).await;
        drop(source);
        radio.until("lobby.mp3", |found| found["live"].is_null()).await;
    }
    let short = Program::ffmpeg(&file, &radio.to("bob:other", "short.mp3"), &[]);
    radio.until("short.mp3", |found| found["live"] == "bob").await;
    drop(short);
    radio
        .host
        .eventually(async || {
            let recordings = radio.api("GET", "/radio/recordings", "").await.json();
            let all = recordings.as_array().unwrap();
            let is_one = all.len() == 1 && all[0]["dj"] == "ada";
            match is_one && all[0]["seconds"].as_f64().is_some_and(|seconds| seconds > 5.0) {
                true => Ok(()),
                false => Err(recordings.to_string()),
            }
        })
        .await;
}
