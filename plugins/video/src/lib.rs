//! Live video: what is published over RTMP is cut into segments and handed out as HLS.
//!
//! ```text
//! bytes of a publisher ─ connection ─ rtmp ─ media (segments) ─ live ─┬─ blobs: segments, recordings
//! request of a viewer ── site ─ playlist, page, status ◀── stream ────┴─ key-value store: streams
//! ```
//!
//! A connection has an instance of its own, so what is to outlive it, or is for viewers, is in the
//! stores: a [`stream`] says what is live under a name, and which segments there are.

pub mod media;
pub mod rtmp;
