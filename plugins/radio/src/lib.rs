//! The radio: sources in, listeners out, and tracks where nobody is live.
//!
//! ```text
//! socket of a source ─ source (head, door, session) ─ format ─┐
//! job `playout` ─ program (shows, playlist) ─ track ─ format ─┴─ air ─ channel `mount:…` ─▶ listeners
//! request for a connection ─ listen (who may hear what, from where)
//! request ─ site ─ page, status, tracks, playlists, shows, recordings
//! ```
//!
//! What plays lies in the key-value store, sound in blobs, and a source in its own instance, which
//! hands it over at a swap.

mod air;
mod clock;
mod djs;
mod format;
mod listen;
mod lists;
mod live;
mod mount;
mod now;
mod page;
mod playout;
mod program;
mod recording;
mod settings;
mod site;
mod source;
mod status;
mod store;
mod track;
mod tries;

use trellis_sdk::lifecycle::Lifecycle;
use trellis_sdk::log;

trellis_sdk::http!(site::answer);
trellis_sdk::connection!(listen::Listeners);
trellis_sdk::socket!(source::Source);
trellis_sdk::job!(playout::run);
trellis_sdk::lifecycle!(Radio);

struct Radio;

impl Lifecycle for Radio {
    /// Refuses settings that cannot be meant, so that a mistake opens nothing.
    fn start(_: Option<Vec<u8>>) -> Result<(), String> {
        if settings::get().as_ref()?.djs.is_empty() {
            log::warn(
                "nobody may play: add lines `name:password` as `djs` under [config.values.radio] \
                 of the settings",
            );
        }
        Ok(())
    }
}
