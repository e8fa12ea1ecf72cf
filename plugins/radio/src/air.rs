//! On the air: frames for the listeners of a mount.

use trellis_sdk::channels;
use trellis_sdk::log;

use crate::format::Frame;
use crate::mount::Mount;
use crate::store::{self, Store};

/// Send a frame to who listens now, and keep it for who comes.
pub fn send(mount: &Mount, frame: Frame) {
    let headers = frame.is_headers.then(|| frame.bytes.clone());
    if let Err(error) = channels::publish(&mount.channel(), frame.bytes) {
        log::error(format_args!("{} is not heard: {error}", mount.name()));
    }
    // Behind the frame: while the channel keeps it, that one counts.
    if let Some(headers) = headers
        && let Err(error) = store::set_raw(Store::Headers, mount.name(), &headers)
    {
        log::error(format_args!("new listeners of {} hear nothing: {error}", mount.name()));
    }
}
