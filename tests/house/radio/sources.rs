//! Sources: who may send, how, and what becomes of it.

use std::{fs, process::Command};

use serde_json::json;

use super::{
    Radio, seconds,
    sound::{Listener, Program, tone},
};

#[tokio::test]
async fn what_ffmpeg_sends_is_heard_as_it_was_sent_in_each_format() {
    let radio = Radio::start("").await;
    let mut sources = Vec::new();
    let mounts = [("put.mp3", 880), ("source.mp3", 660), ("put.aac", 440), ("put.opus", 330)];
    for (mount, hertz) in mounts {
        let file = tone(radio.dir(), &format!("sent-{mount}"), hertz, 30);
        // The second one as Icecast was spoken to before it took PUT.
        let more: &[&str] = if mount == "source.mp3" { &["-legacy_icecast", "1"] } else { &[] };
        sources.push(Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", mount), more));
    }
    let mut listeners = Vec::new();
    for (mount, hertz) in mounts {
        radio.until(mount, |found| found["live"] == "ada" && found["sounds"] == true).await;
        listeners.push((Listener::open(&radio.host, radio.dir(), mount, &[]), mount, hertz));
    }
    seconds(6).await;
    for (listener, mount, hertz) in listeners {
        let bytes = listener.bytes();
        let heard = listener.stop();
        assert!(heard.seconds() > 4.0, "{mount}: {} s", heard.seconds());
        assert_eq!(heard.tones(), [hertz], "{mount}: {}", heard.complaints);
        heard.is_whole();
        if mount.ends_with(".mp3") {
            let sent = fs::read(radio.dir().join(format!("sent-{mount}"))).unwrap();
            assert!(sent.windows(bytes.len()).any(|part| part == bytes), "{mount} is not as sent");
        }
    }
}

#[tokio::test]
async fn liquidsoap_plays_vorbis_and_says_what_it_is() {
    let radio = Radio::start("").await;
    let script = radio.dir().join("radio.liq");
    let port = radio.port;
    let text = format!(
        "settings.init.allow_root.set(true)\n\
         s = insert_metadata(mksafe(sine(440.)))\n\
         thread.run(delay=2., {{s.insert_metadata([(\"artist\", \"Liquid\"), (\"title\", \"Café\")])}})\n\
         output.icecast(%vorbis(quality=0.3), host=\"127.0.0.1\", port={port}, user=\"ada\", \
         password=\"one;two\", mount=\"liquid.ogg\", name=\"Liquid\", genre=\"sine\", s)\n\
         output.icecast(%mp3(bitrate=128), host=\"127.0.0.1\", port={port}, user=\"source\", \
         password=\"ada;one;two\", mount=\"liquid.mp3\", s)\n"
    );
    fs::write(&script, text).unwrap();
    let _liquidsoap = Program::start(
        Command::new("liquidsoap").arg(&script),
        &radio.dir().join("liquidsoap.said"),
    );
    for mount in ["liquid.ogg", "liquid.mp3"] {
        // One tells it among its comments, the other over /admin/metadata.
        radio.until(mount, |found| found["title"] == "Liquid - Café").await;
    }
    let listeners = ["liquid.ogg", "liquid.mp3"]
        .map(|mount| Listener::open(&radio.host, radio.dir(), mount, &[]));
    seconds(8).await;
    for listener in listeners {
        let heard = listener.stop();
        assert!(heard.seconds() > 4.0, "{} s", heard.seconds());
        assert_eq!(heard.tones(), [440], "{}", heard.complaints);
        assert!(heard.longest_silence() < 0.1, "a gap of {} s", heard.longest_silence());
    }
    let status = radio.host.get("/status-json.xsl").await.json();
    let sources = status["icestats"]["source"].as_array().unwrap();
    let vorbis = sources.iter().find(|source| source["server_type"] == "audio/ogg").unwrap();
    assert_eq!((&vorbis["server_name"], &vorbis["genre"]), (&json!("Liquid"), &json!("sine")));
    assert_eq!(vorbis["listenurl"], radio.host.url("/radio/liquid.ogg"));
}

#[tokio::test]
async fn a_mount_is_one_djs_until_the_same_one_comes_again() {
    let radio = Radio::start("").await;
    let file = tone(radio.dir(), "live.mp3", 880, 60);
    let mut first = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &[]);
    radio.until("lobby.mp3", |found| found["live"] == "ada").await;
    for who in ["bob:other", "bob:wrong", "eve:other"] {
        assert!(!Program::ffmpeg(&file, &radio.to(who, "lobby.mp3"), &[]).wait(), "{who}");
    }
    let title = "GET /admin/metadata?mode=updinfo&mount=/lobby.mp3&song=Caf%E9 HTTP/1.0\r\nauthorization: Basic ";
    // bob:other, nobody, ada:one;two
    for (who, status) in [("Ym9iOm90aGVy", 409), ("eDp5", 401), ("YWRhOm9uZTt0d28=", 200)] {
        let answer = radio.say(format!("{title}{who}\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{answer}");
    }
    radio.until("lobby.mp3", |found| found["title"] == "Café").await;
    let _second = Program::ffmpeg(&file, &radio.to("ada:one%3Btwo", "lobby.mp3"), &[]);
    first.wait();
    radio
        .until("lobby.mp3", |found| found["title"] == "LIVE -- ada" && found["live"] == "ada")
        .await;
    let log = radio.host.log();
    assert!(log.contains("replaced by another source"), "{log}");
    assert!(!log.contains("other;") && !log.contains("one;two"), "a password is in the log");
}

#[tokio::test]
async fn what_is_no_source_gets_an_answer_and_its_end() {
    let radio = Radio::start("").await;
    let who = "authorization: Basic Ym9iOm90aGVy\r\n";
    let long =
        format!("PUT /a.mp3 HTTP/1.1\r\nauthorization: Basic {}\r\n\r\n", "x".repeat(1 << 20));
    let cases = [
        ("\x16\x03\x01\x02\x00\x01\x00".to_owned(), 400),
        ("hello\r\n".to_owned(), 400),
        (long, 431),
        ("PUT /a.mp3 HTTP/1.1\r\ncontent-type: audio/mpeg\r\n\r\n".to_owned(), 401),
        (format!("PUT /a.mp3 HTTP/1.1\r\n{who}\r\n"), 400),
        (format!("PUT /a.mp3 HTTP/1.1\r\n{who}content-type: video/mp4\r\n\r\n"), 415),
        (format!("DELETE /a.mp3 HTTP/1.1\r\n{who}\r\n"), 405),
        ("GET /a.mp3 HTTP/1.1\r\n\r\n".to_owned(), 404),
        ("OPTIONS * HTTP/1.1\r\n\r\n".to_owned(), 200),
        ("GET /status-json.xsl HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 200),
        (
            format!(
                "PUT /a.mp3 HTTP/1.1\r\n{who}content-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\nno chunk"
            ),
            200,
        ),
        // The head that never ends is given up on after 10 s.
        ("PUT /a.mp3 HTTP/1.1\r\nx: ".to_owned(), 408),
    ];
    for (sent, status) in cases {
        let answer = radio.say(sent.as_bytes()).await;
        let begin: String = sent.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{begin}: {answer}");
        if status == 200 && sent.contains("chunked") {
            assert!(answer.contains("HTTP/1.0 400 "), "{answer}");
        }
    }
    // Nobody who was refused left a mount behind, except the one who was let in.
    let mounts = radio.host.get("/radio/status").await.json()["mounts"].clone();
    assert_eq!(mounts.as_array().unwrap().len(), 1);
}
