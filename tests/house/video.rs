//! Live video: what a real encoder publishes, as real players see it.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use http_body_util::Full;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    browser::Browser,
    support::{Answer, Host, PATIENCE, changed, component, free_port, variant},
};

/// Who may publish, with short segments, so that nobody has to wait long.
const SETTINGS: &str = "[grants]\ndefault = \"needs\"\n[config.values.video]\n\
    publishers = \"live/show:right+key\\nvj/*:other\"\nrecord = \"live\"\n\
    segment-seconds = \"1\"\nwindow = \"3\"\n";

/// A host, and the port that it takes video on.
pub struct Studio {
    pub host: Host,
    pub port: u16,
}

impl Studio {
    async fn open() -> Self {
        Self::open_with(SETTINGS).await
    }

    /// One with these settings of its host.
    pub async fn open_with(settings: &str) -> Self {
        let (host, port) = (Host::start_with(&[], settings).await, free_port());
        let studio = Self { host, port };
        studio.install("0.1.0").await;
        studio
    }

    /// Make a version of the plugin the live one.
    async fn install(&self, version: &str) {
        let original = fs::read(component("video")).unwrap();
        let moved = changed(&original, |manifest| manifest.listen[0].port = self.port);
        self.host.install("video.wasm", variant(&moved, version));
        let swapped = |status: &Value| status["state"] == "live" && status["version"] == version;
        self.host.until_plugin("video", swapped).await;
    }

    /// Publish to a stream with a picture of this size.
    fn publish(&self, stream: &str, size: &str) -> Encoder {
        let h264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p"];
        self.publish_with(stream, size, &[&h264[..], &["-c:a", "aac"]].concat())
    }

    fn publish_with(&self, stream: &str, size: &str, codecs: &[&str]) -> Encoder {
        let picture = format!("testsrc2=size={size}:rate=25");
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-re", "-f", "lavfi", "-i", &picture])
            .args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"])
            .args(codecs)
            .args(["-f", "flv", &format!("rtmp://127.0.0.1:{}/{stream}", self.port)])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run `tests/run`, which installs ffmpeg");
        Encoder(child)
    }

    /// The playlist with the segments, once it is as it should be.
    async fn playlist(&self, as_it_should_be: impl Fn(&str) -> bool) -> String {
        let address = self.viewer("live/show").await;
        self.host.until(&address, |answer| as_it_should_be(&answer.text())).await.text()
    }

    /// Where a new viewer finds the segments of a stream, once it is live.
    pub async fn viewer(&self, stream: &str) -> String {
        let path = format!("/video/{stream}.m3u8");
        let first = self.host.until(&path, |answer| answer.status == 200).await;
        first.text().lines().last().unwrap().to_owned()
    }

    /// What the status says of the one stream that there is, once it is as it should be.
    async fn stream(&self, as_it_should_be: impl Fn(&Value) -> bool) -> Value {
        let right = |answer: &Answer| as_it_should_be(&answer.json()["streams"][0]);
        self.host.until("/video/status.json", right).await.json()["streams"][0].clone()
    }

    pub fn assert_nothing_failed(&self) {
        let log = self.host.log();
        assert!(!log.contains("instance failed") && !log.contains("was not kept"), "{log}");
    }
}

/// Ffmpeg, which publishes until it is dropped.
struct Encoder(Child);

impl Encoder {
    /// What it says at its end, which is not its own.
    async fn complaint(mut self) -> String {
        let mut said = String::new();
        let mut pipe = self.0.stderr.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            std::io::Read::read_to_string(&mut pipe, &mut said).map(|_| said)
        });
        let said = timeout(PATIENCE, reading).await.expect("it goes on").unwrap().unwrap();
        assert!(!self.0.wait().unwrap().success());
        said
    }

    fn is_publishing(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a tool of ffmpeg says, which has to like what it sees.
async fn run(tool: &'static str, args: &[&str]) -> String {
    let mut command = Command::new(tool);
    command.args(["-v", "error"]).args(args).stdin(Stdio::null());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && complaint.is_empty(), "{tool} {args:?}: {complaint}");
    String::from_utf8(done.stdout).unwrap()
}

/// A film of so many seconds as a file, with a picture and sound.
pub async fn film(path: &Path, seconds: u32) {
    let picture = format!("testsrc2=size=320x180:rate=25:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=44100:duration={seconds}");
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"];
    run("ffmpeg", &[&inputs[..], &codecs, &[path.to_str().unwrap()]].concat()).await;
}

/// What there is in a file or behind an address: codecs, sizes, how many frames could be decoded.
pub async fn probe(address: &str) -> Vec<Value> {
    let shown = "stream=codec_name,width,height,nb_read_frames";
    let args = ["-count_frames", "-show_entries", shown, "-of", "json", address];
    let found: Value = serde_json::from_str(&run("ffprobe", &args).await).unwrap();
    found["streams"].as_array().unwrap().clone()
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn ask(host: &Host, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = http::Request::builder().method(method).uri(host.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.request(request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn what_an_encoder_publishes_is_watched_over_hls_and_counted() {
    let studio = Studio::open().await;
    let host = &studio.host;
    assert_eq!(host.get("/video/live/show.m3u8").await.status, 404);
    let _encoder = studio.publish("live/show?key=right+key", "320x180");

    let first = host.until("/video/live/show.m3u8", |answer| answer.status == 200).await;
    assert_eq!(field(&first, "content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(field(&first, "cache-control"), "no-cache");
    assert!(first.text().contains("CODECS=\"avc1."), "{}", first.text());
    assert!(first.text().contains(",mp4a.40.2\",RESOLUTION=320x180\n"), "{}", first.text());
    // As it was with nginx-rtmp.
    let old = host.get("/live/show.m3u8").await;
    assert_eq!((old.status, field(&old, "access-control-allow-origin")), (200, "*"));

    let list = studio.playlist(|list| list.matches("#EXTINF").count() == 3).await;
    let oldest = list.lines().find(|line| line.ends_with(".m4s")).unwrap().to_owned();
    let segment = format!("/video/live/show/{oldest}");
    let whole = host.get(&segment).await;
    assert_eq!((whole.status, field(&whole, "content-type")), (200, "video/mp4"));
    assert!(field(&whole, "cache-control").contains("immutable"));
    let part = ask(host, "GET", &segment, &[("range", "bytes=0-99")]).await;
    assert_eq!((part.status, part.body.len()), (206, 100));
    for path in ["/video/live/show.m3u8", &segment, "/video/status.json"] {
        assert_eq!(field(&host.get(path).await, "access-control-allow-origin"), "*");
        let preflight = ask(host, "OPTIONS", path, &[("origin", "https://h.example")]).await;
        assert_eq!(preflight.status, 204);
        assert_eq!(field(&preflight, "access-control-allow-origin"), "*");
    }

    let url = host.url("/video/live/show.m3u8");
    run("ffmpeg", &["-xerror", "-t", "3", "-i", &url, "-f", "null", "-"]).await;

    // Whoever asked above is gone a while later; who asks stays.
    let viewers = [studio.viewer("live/show").await, studio.viewer("live/show").await];
    let counted = async || {
        for viewer in &viewers {
            assert_eq!(host.get(viewer).await.status, 200);
        }
        let stream = host.get("/video/status.json").await.json()["streams"][0].clone();
        match stream["viewers"] == 2 {
            true => Ok(stream),
            false => Err(format!("not two viewers: {stream}")),
        }
    };
    let stream = host.eventually(counted).await;
    assert_eq!((&stream["app"], &stream["name"]), (&"live".into(), &"show".into()));
    assert_eq!((&stream["state"], &stream["width"]), (&"live".into(), &320.into()));
    assert!(stream["bitrate"].as_u64().unwrap() > 10_000, "{stream}");
    // Long after it left the playlist.
    host.until(&segment, |answer| answer.status == 404).await;
    studio.assert_nothing_failed();
}

#[tokio::test]
async fn who_has_no_key_a_taken_name_or_another_codec_is_told_so() {
    let studio = Studio::open().await;
    for stream in ["live/show", "live/show?key=other", "live/none?key=right+key"] {
        let said = studio.publish(stream, "160x90").complaint().await;
        assert!(said.contains("the key is wrong or missing"), "{stream}: {said}");
    }
    let said = studio.publish("cinema/show?key=other", "160x90").complaint().await;
    assert!(said.contains("publish to one of the applications hls, vj, vj2, live"), "{said}");

    let old = ["-c:v", "flv", "-c:a", "aac"];
    let said = studio.publish_with("vj/a?key=other", "160x90", &old).complaint().await;
    assert!(said.contains("video codec 2 is not supported: send H.264"), "{said}");
    let mp3 = ["-vn", "-c:a", "libmp3lame"];
    let said = studio.publish_with("vj/b?key=other", "160x90", &mp3).complaint().await;
    assert!(said.contains("audio codec 2 is not supported: send AAC"), "{said}");

    let mut first = studio.publish("live/show?key=right%2Bkey", "160x90");
    studio.viewer("live/show").await;
    let said = studio.publish("live/show?key=right+key", "160x90").complaint().await;
    assert!(said.contains("`live/show` is live already"), "{said}");
    assert!(first.is_publishing());
    let log = studio.host.log();
    assert!(!log.contains("right+key") && !log.contains("right%2Bkey"), "a key is in the log");
}

#[tokio::test]
async fn sound_alone_and_pictures_alone_are_streams() {
    let studio = Studio::open().await;
    let sound = ["-vn", "-c:a", "aac"];
    let _sound = studio.publish_with("vj/sound?key=other", "160x90", &sound);
    let picture = ["-an", "-c:v", "libx264", "-g", "25", "-bf", "3", "-pix_fmt", "yuv420p"];
    let _picture = studio.publish_with("vj/picture?key=other", "160x90", &picture);
    for (stream, codec) in [("vj/sound", "aac"), ("vj/picture", "h264")] {
        studio.viewer(stream).await;
        let url = studio.host.url(&format!("/video/{stream}.m3u8"));
        run("ffmpeg", &["-xerror", "-t", "2", "-i", &url, "-f", "null", "-"]).await;
        let shown = ["-show_entries", "stream=codec_name", "-of", "csv=p=0", &url];
        let found = run("ffprobe", &shown).await;
        assert!(found.lines().all(|line| line.is_empty() || line == codec), "{stream}: {found}");
    }
    studio.assert_nothing_failed();
}

#[tokio::test]
async fn a_publisher_who_comes_back_goes_on_and_each_stay_is_recorded() {
    let studio = Studio::open().await;
    let encoder = studio.publish("live/show?key=right+key", "320x180");
    studio.playlist(|list| list.matches("#EXTINF").count() == 3).await;
    drop(encoder);
    studio.stream(|stream| stream["state"] == "away").await;
    let number = |list: &str| -> u64 {
        let line = list.lines().find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        line.unwrap().parse().unwrap()
    };
    let before = number(&studio.playlist(|_| true).await);

    let encoder = studio.publish("live/show?key=right+key", "160x90");
    let list = studio.playlist(|list| list.contains("#EXT-X-DISCONTINUITY\n")).await;
    assert_eq!(list.matches("#EXT-X-MAP").count(), 2, "{list}");
    assert!(number(&list) > before, "{list}");
    let list = studio.playlist(|list| list.contains("DISCONTINUITY-SEQUENCE:1\n")).await;
    assert!(!list.contains("#EXT-X-DISCONTINUITY\n"), "{list}");
    drop(encoder);
    studio.stream(|stream| stream["state"] == "away").await;

    let recordings = studio.host.get("/video/status.json").await.json()["recordings"].clone();
    let dir = tempfile::tempdir().unwrap();
    let mut widths = Vec::new();
    for recording in recordings.as_array().unwrap() {
        let name = recording["file"].as_str().unwrap();
        let path = format!("/video/recordings/live/show/{name}");
        let part = ask(&studio.host, "GET", &path, &[("range", "bytes=4-7")]).await;
        assert_eq!((part.status, &part.body[..]), (206, &b"ftyp"[..]));
        let whole = studio.host.get(&path).await;
        assert_eq!(field(&whole, "content-type"), "video/mp4");
        assert_eq!(recording["bytes"], whole.body.len());
        let file = dir.path().join(name);
        fs::write(&file, &whole.body).unwrap();
        let found = probe(file.to_str().unwrap()).await;
        let frames = |at: usize| found[at]["nb_read_frames"].as_str().unwrap().parse::<u64>();
        assert!(frames(0).unwrap() > 50 && frames(1).unwrap() > 80, "{found:?}");
        run("ffmpeg", &["-xerror", "-i", file.to_str().unwrap(), "-f", "null", "-"]).await;
        widths.push(found[0]["width"].as_u64().unwrap());
    }
    // The newest first.
    assert_eq!(widths, [160, 320]);
}

#[tokio::test]
async fn a_stream_goes_on_over_swaps_without_a_break() {
    let studio = Studio::open().await;
    let mut encoder = studio.publish("live/show?key=right+key", "320x180");
    studio.viewer("live/show").await;
    for version in 1..=5 {
        studio.install(&format!("0.2.{version}")).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let list = studio.playlist(|list| !list.contains("#EXT-X-MEDIA-SEQUENCE:0\n")).await;
    assert!(!list.contains("DISCONTINUITY") && list.matches("#EXT-X-MAP").count() == 1, "{list}");
    assert!(encoder.is_publishing());
    let recordings = studio.host.get("/video/status.json").await.json()["recordings"].clone();
    assert_eq!(recordings.as_array().unwrap().len(), 1, "{recordings}");
    let log = studio.host.log();
    assert!(!log.contains("stays with the version"), "{log}");
    studio.assert_nothing_failed();
}

#[tokio::test]
async fn garbage_on_the_port_is_sent_away_and_harms_nobody() {
    let studio = Studio::open().await;
    let mut encoder = studio.publish("live/show?key=right+key", "320x180");
    studio.viewer("live/show").await;
    let hello = vec![3; 1 + 2 * 1536];
    // A message of 16 MiB, and chunks of a stream that never began.
    let long = [4, 0, 0, 0, 255, 255, 255, 9, 1, 0, 0, 0];
    for (garbage, is_greeting) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], false),
        (&[0; 5000], false),
        (&long, true),
        (&[0xff; 99], true),
    ] {
        let mut socket = TcpStream::connect(("127.0.0.1", studio.port)).await.unwrap();
        if is_greeting {
            socket.write_all(&hello).await.unwrap();
        }
        socket.write_all(garbage).await.unwrap();
        // All that it says, until it closes.
        let mut said = Vec::new();
        let closed = timeout(PATIENCE, socket.read_to_end(&mut said)).await;
        assert!(closed.is_ok(), "{garbage:?} is not sent away");
    }
    // Who says nothing, or not all of a greeting, is sent away in time.
    let mut silent = TcpStream::connect(("127.0.0.1", studio.port)).await.unwrap();
    let mut slow = TcpStream::connect(("127.0.0.1", studio.port)).await.unwrap();
    slow.write_all(&hello[..700]).await.unwrap();
    for socket in [&mut silent, &mut slow] {
        let closed = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "it may stay");
    }
    assert!(encoder.is_publishing());
    studio.stream(|stream| stream["state"] == "live").await;
    let log = studio.host.log();
    for reason in ["speaks RTMP, not HTTP", "16777215 bytes", "nothing was published within 10 s"] {
        assert!(log.contains(reason), "{reason}: {log}");
    }
    studio.assert_nothing_failed();
}

#[tokio::test]
async fn the_page_plays_and_comes_back_by_itself() {
    let studio = Studio::open().await;
    let mut browser = Browser::open(&studio.host.url("/video/live/show")).await;
    let title = "document.querySelector('#curtain b').textContent";
    browser.until(&format!("{title} === 'Not live'"), title).await;

    let encoder = studio.publish("live/show?key=right+key", "320x180");
    let at = "document.querySelector('video').currentTime";
    browser.until(&format!("{at} > 2 && document.querySelector('#curtain').hidden"), at).await;
    assert_eq!(browser.value("document.querySelector('video').videoWidth").await, 320);
    let badge = "document.querySelector('#state').dataset.is";
    browser.until(&format!("{badge} === 'live'"), badge).await;
    let count = "document.querySelector('#count').textContent";
    browser.until(&format!("{count} === '1 viewer'"), count).await;
    // Behind the newest segment, and not far.
    let left = "player.left()";
    browser.until(&format!("{left} > 0 && {left} < 4"), left).await;

    drop(encoder);
    browser.until(&format!("{title} === 'Interrupted'"), title).await;
    let stood = browser.value(at).await.as_f64().unwrap();
    let _encoder = studio.publish("live/show?key=right+key", "160x90");
    browser.until(&format!("{at} > {stood} + 2"), at).await;
    assert_eq!(browser.value("document.querySelector('video').videoWidth").await, 160);

    let mut list = Browser::open(&studio.host.url("/video")).await;
    let card = "document.querySelector('#streams a')?.href ?? ''";
    list.until(&format!("({card}).endsWith('/video/live/show')"), card).await;
    let recordings = "document.querySelectorAll('#recordings li').length";
    list.until(&format!("{recordings} === 2"), recordings).await;
}
