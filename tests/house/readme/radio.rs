//! The README of the radio: programs that send, programs that listen, and the API for tracks.

use serde_json::{Value, json};

use crate::radio::{
    Radio,
    sound::{Listener, Sound, tone},
};

use super::shell::Shell;

#[tokio::test]
async fn the_radios_commands_send_play_and_are_heard() {
    let mut shell = Shell::of("radio");
    let radio = Radio::open(&shell.settings()).await;
    shell.visit(&radio.host);
    shell.place("127.0.0.1:8000", format!("127.0.0.1:{}", radio.port));
    shell.place("port=8000", format!("port={}", radio.port));
    sends(&mut shell, &radio).await;
    plays(&mut shell, &radio).await;
}

/// What a listener of a mount hears: the 64 KiB that whoever comes gets, and what is sent then.
async fn heard(radio: &Radio, mount: &str) -> Vec<u32> {
    let listener = Listener::open(&radio.host, radio.dir(), mount, &[]);
    radio
        .host
        .eventually(async || match listener.bytes().len() {
            100_000.. => Ok(()),
            few => Err(format!("only {few} bytes of {mount}")),
        })
        .await;
    listener.stop().tones()
}

async fn sends(shell: &mut Shell, radio: &Radio) {
    tone(shell.dir(), "set.mp3", 880, 120);
    tone(shell.dir(), "set.flac", 440, 120);
    let source = shell.start("ffmpeg -re -i set.mp3").await;
    radio.until("lobby.mp3", |found| found["live"] == "ada" && found["sounds"] == true).await;
    let opus = shell.start("ffmpeg -re -i set.flac").await;
    radio.until("lobby.opus", |found| found["live"] == "ada" && found["sounds"] == true).await;
    shell.run("curl 'http://ada:secret@127.0.0.1:8000/admin/metadata").await;
    radio.until("lobby.mp3", |found| found["title"] == "Artist - Title").await;

    shell.run("ffmpeg -i http://127.0.0.1:8080/radio/lobby.mp3").await;
    let sound = Sound::of(&shell.file("heard.wav"));
    assert_eq!((sound.tones(), sound.seconds().round()), (vec![880], 10.0));
    shell.run("ffprobe http://127.0.0.1:8080/lobby.mp3").await;
    let list = shell.run("curl http://127.0.0.1:8080/radio/lobby.m3u").await;
    assert!(list.contains(&radio.host.url("/radio/lobby.mp3")), "{list}");
    let status: Value =
        serde_json::from_str(&shell.run("curl http://127.0.0.1:8000/").await).unwrap();
    let sources = status["icestats"]["source"].as_array().unwrap();
    assert!(sources.iter().any(|source| source["server_name"] == "Night shift"), "{status}");
    assert_eq!(heard(radio, "lobby.opus").await, [440]);
    drop(opus);

    // Another one in its place, who sends something else.
    drop(source);
    radio.until("lobby.mp3", |found| found["live"].is_null()).await;
    tone(shell.dir(), "set.mp3", 660, 120);
    let _liquidsoap = shell.start("liquidsoap 'output.icecast(").await;
    radio.until("lobby.mp3", |found| found["live"] == "ada" && found["sounds"] == true).await;
    let tones = heard(radio, "lobby.mp3").await;
    // A minute of what was sent before is kept.
    assert_eq!(tones.last(), Some(&660), "{tones:?}");
}

async fn plays(shell: &mut Shell, radio: &Radio) {
    tone(shell.dir(), "song.mp3", 220, 60);
    tone(shell.dir(), "other.mp3", 330, 60);
    shell.set("API=");
    for name in ["song.mp3", "other.mp3"] {
        let put = shell.run(&format!("curl -u $DJ -T {name} ")).await;
        assert_eq!(serde_json::from_str::<Value>(&put).unwrap()["name"], name, "{put}");
    }
    assert_eq!(shell.run("curl -u $DJ -X PUT -d '\"all\"' $API/playlists/").await, "");
    // The first of all that there are, by its name.
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 330").await;
    assert_eq!(shell.run("curl -u $DJ -X PUT $API/mounts/lobby.mp3").await, "");
    radio.until("lobby.mp3", |found| found["about"]["name"] == "Lobby").await;
    shell.set("FROM=");
    assert_eq!(shell.run("curl -u $DJ -X PUT $API/shows").await, "");
    radio.until("lobby.mp3", |found| found["title"] == "Somebody - Tone of 220").await;

    let list = shell.run("curl -u $DJ $API/recordings ").await;
    let list: Value = serde_json::from_str(&list).unwrap();
    let mut all = list.as_array().unwrap().iter();
    let recording =
        all.find(|recording| recording["name"].as_str().unwrap().starts_with("lobby.mp3/"));
    assert!(recording.unwrap()["seconds"].as_f64().unwrap() > 9.0, "{list}");
    shell.set("NAME=");
    shell.run("curl -u $DJ -o recording.mp3").await;
    assert!(Sound::of(&shell.file("recording.mp3")).seconds() > 9.0);
    let put = shell.run("curl -u $DJ -X PUT \"$API/tracks/show.mp3?recording=").await;
    assert_eq!(serde_json::from_str::<Value>(&put).unwrap()["name"], json!("show.mp3"), "{put}");
}
