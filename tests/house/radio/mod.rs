//! The radio with real sources and real players: ffmpeg and liquidsoap send, curl listens, and
//! ffmpeg decodes what it got.

mod playing;
pub mod sound;
mod sources;
mod swaps;

use std::{fs, path::Path, time::Duration};

use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Answer, Host, PATIENCE, changed, component, free_port};
use sound::tone;

/// A host with the radio, the port of its sources, and a directory for files.
pub struct Radio {
    pub host: Host,
    pub port: u16,
    dir: tempfile::TempDir,
}

impl Radio {
    async fn start(more: &str) -> Self {
        let settings = format!(
            "[grants]\ndefault = \"needs\"\n[config.values.radio]\n\
             djs = \"ada:one;two\\nbob:other\"\nshortest-recording = \"2\"\n{more}"
        );
        Self::open(&settings).await
    }

    /// One with these settings of its host.
    pub async fn open(settings: &str) -> Self {
        let (host, port) = (Host::start_with(&[], settings).await, free_port());
        let radio = Self { host, port, dir: tempfile::tempdir().unwrap() };
        radio.install("1.0.0").await;
        radio
    }

    /// Put a version of the plugin in and wait until it serves.
    async fn install(&self, version: &str) {
        let original = fs::read(component("radio")).unwrap();
        let plugin = changed(&original, |manifest| {
            manifest.listen[0].port = self.port;
            manifest.version = Some(version.to_owned());
        });
        self.host.install("radio.wasm", plugin);
        let swapped = |status: &Value| status["state"] == "live" && status["version"] == version;
        self.host.until_plugin("radio", swapped).await;
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a DJ sends to.
    fn to(&self, who: &str, mount: &str) -> String {
        format!("{who}@127.0.0.1:{}/{mount}", self.port)
    }

    /// Ask the API as a DJ.
    async fn api(&self, method: &str, path: &str, body: impl Into<bytes::Bytes>) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(self.host.url(path))
            // ada:one;two
            .header("authorization", "Basic YWRhOm9uZTt0d28=");
        self.host.request(request.body(Full::new(body.into())).unwrap()).await
    }

    /// Tones as tracks, and a mount whose playlist they are.
    async fn playlist(&self, mount: &str, hertz: &[u32], seconds: u32) {
        let end = mount.rsplit_once('.').unwrap().1;
        let mut names = Vec::new();
        for hertz in hertz {
            let name = format!("{hertz}.{end}");
            let file = fs::read(tone(self.dir(), &name, *hertz, seconds)).unwrap();
            let put = self.api("PUT", &format!("/radio/tracks/{name}"), file).await;
            assert_eq!(put.status, 201, "{}", put.text());
            names.push(name);
        }
        let put =
            self.api("PUT", &format!("/radio/playlists/{mount}"), json!(names).to_string()).await;
        assert_eq!(put.status, 204, "{}", put.text());
    }

    /// What is known of a mount once it is as it should be.
    pub async fn until(&self, mount: &str, as_it_should_be: impl Fn(&Value) -> bool) -> Value {
        let of = |answer: &Answer| {
            let all = answer.json()["mounts"].clone();
            all.as_array().unwrap().iter().find(|found| found["mount"] == mount).cloned()
        };
        let is = |answer: &Answer| of(answer).is_some_and(|found| as_it_should_be(&found));
        of(&self.host.until("/radio/status", is).await).unwrap()
    }

    /// Say something on the sources' port; all of the answer.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        // Whoever is refused early does not hear the rest.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        read.unwrap_or_else(|_| panic!("no end: {}", String::from_utf8_lossy(&answer))).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}
