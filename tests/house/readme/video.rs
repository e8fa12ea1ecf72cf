//! The README of the video: an encoder, a player, and what is live.

use serde_json::Value;

use crate::video::{Studio, film, probe};

use super::shell::Shell;

#[tokio::test]
async fn the_videos_commands_publish_and_play() {
    let mut shell = Shell::of("video");
    let studio = Studio::open_with(&shell.settings()).await;
    shell.visit(&studio.host);
    shell.place("127.0.0.1:1935", format!("127.0.0.1:{}", studio.port));
    film(&shell.dir().join("show.mp4"), 120).await;

    let _encoder = shell.start("ffmpeg -re -i show.mp4").await;
    studio.viewer("live/show").await;
    shell.run("ffmpeg -i http://127.0.0.1:8080/video/live/show.m3u8").await;
    let seen = probe(shell.dir().join("seen.mp4").to_str().unwrap()).await;
    let codecs: Vec<&Value> = seen.iter().map(|stream| &stream["codec_name"]).collect();
    assert_eq!(codecs, ["h264", "aac"]);
    let frames = |at: usize| seen[at]["nb_read_frames"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(frames(0) > 200 && frames(1) > 400, "{seen:?}");
    // It says what it found among its errors, so to be content is all that there is to see.
    shell.run("ffprobe http://127.0.0.1:8080/live/show.m3u8").await;
    let status: Value = serde_json::from_str(&shell.run("curl ").await).unwrap();
    let stream = &status["streams"][0];
    assert_eq!((&stream["name"], &stream["state"]), (&"show".into(), &"live".into()), "{status}");
    studio.assert_nothing_failed();
}
