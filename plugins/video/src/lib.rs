//! Live video: what is published over RTMP is cut into segments and handed out as HLS.
//!
//! ```text
//! bytes of a connection ─ publisher ─ rtmp ─ media (segments) ─ live ─┬─ blobs: segments, recordings
//! request of a viewer ─── site ─ playlist, status, page ◀── stream ───┴─ key-value store: streams
//! ```
//!
//! A connection has an instance of its own, so what is to outlive it, or is for viewers, is on the
//! [`shelf`]: a [`stream`] says what is live under a name, and which segments there are.

mod door;
mod live;
mod media;
mod names;
mod page;
mod playlist;
mod publisher;
mod publishers;
mod rtmp;
mod settings;
mod shelf;
mod site;
mod status;
mod stream;
mod viewers;

use std::time::{SystemTime, UNIX_EPOCH};

use trellis_sdk::job::Job;
use trellis_sdk::lifecycle::Lifecycle;
use trellis_sdk::log;
use trellis_sdk::socket::{Arrival, Reply, Socket};

use publisher::{House, Publisher};
use shelf::Host;

trellis_sdk::http!(site::answer);
trellis_sdk::socket!(Connection);
trellis_sdk::job!(sweep);
trellis_sdk::lifecycle!(Video);

/// The first byte of what a connection saves. Another layout has another one.
const LAYOUT: u8 = 1;

/// A connection over RTMP.
struct Connection(Publisher);

impl Connection {
    /// Do something with what is around it; without settings nothing goes on.
    fn with(&mut self, work: impl FnOnce(&mut Publisher, &mut House<'_, Host>) -> Reply) -> Reply {
        let settings = match settings::get() {
            Ok(settings) => settings,
            Err(error) => {
                log::error(error);
                return Reply::nothing().close("the settings of the video have a mistake");
            }
        };
        let (shelf, door, now_ms) = (&mut Host, &door::attempt, now_ms());
        work(&mut self.0, &mut House { shelf, settings, door, now_ms })
    }
}

impl Socket for Connection {
    fn open(arrival: Arrival) -> (Self, Reply) {
        let (publisher, reply) = Publisher::new(arrival.client_ip, now_ms());
        (Self(publisher), reply)
    }

    fn data(&mut self, bytes: Vec<u8>) -> Reply {
        self.with(|publisher, house| publisher.hear(house, &bytes))
    }

    fn woken(&mut self) -> Reply {
        self.with(|publisher, house| publisher.tick(house))
    }

    fn closed(&mut self, reason: String) {
        self.with(|publisher, house| {
            publisher.end(house, &reason);
            Reply::nothing()
        });
    }

    fn save(&self) -> Option<Vec<u8>> {
        let saved = postcard::to_extend(&self.0, vec![LAYOUT]);
        saved
            .inspect_err(|error| log::error(format_args!("a connection was not saved: {error}")))
            .ok()
    }

    fn restore(_: Arrival, saved: Vec<u8>) -> Result<(Self, Reply), String> {
        let Some((&LAYOUT, saved)) = saved.split_first() else {
            return Err("it was saved in another layout".to_owned());
        };
        let publisher = postcard::from_bytes(saved).map_err(|error| error.to_string())?;
        Ok((Self(publisher), Reply::nothing().wake(0)))
    }
}

/// By the clock: remove what is left of streams that ended, and the oldest recordings where there
/// are too many.
fn sweep(_: Job) -> Result<(), String> {
    shelf::drop_recordings(settings::get().as_ref()?.recordings_bytes)?;
    live::sweep(&mut Host, now_ms())
}

struct Video;

impl Lifecycle for Video {
    /// Refuses settings that cannot be meant.
    fn start(_: Option<Vec<u8>>) -> Result<(), String> {
        if settings::get().as_ref()?.publishers.is_empty() {
            log::warn("nobody may publish: `publishers` is not set");
        }
        Ok(())
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
