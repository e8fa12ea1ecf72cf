//! Many websockets or streams on one thread, which count what they hear, and the publisher that
//! they hear.
//!
//! ```text
//!  orders (a line each) ─▶ crowd ─▶ publisher ── POST ─▶ server
//!  outcomes (a line each) ◀─ tally ◀─ frames ◀─ sockets ◀── frames
//! ```
//!
//! Publisher and listeners are one program, so that the time of a frame is told by one clock, and
//! so that the next frame can leave at the moment the last listener has the one before.

use std::net::SocketAddr;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::dialog::{hear, say};

mod crowd;
mod frames;
mod publisher;
pub mod remote;
pub mod socket;
mod tally;

pub use frames::Form;

/// What is connected where. Once all are, the program says `ready` and takes [`Order`]s.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// The path that takes listeners.
    #[arg(long)]
    listen: String,
    /// The path that publishes.
    #[arg(long)]
    publish: String,
    /// How many listen.
    #[arg(long)]
    count: u32,
    /// To the body of an answer, in place of a websocket.
    #[arg(long)]
    streams: bool,
}

/// What is published in one run.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Order {
    /// How long, in seconds; then it waits until all have everything.
    pub seconds: u64,
    /// Frames of each request.
    pub burst: u64,
    /// The bytes of each.
    pub size: u64,
    /// From one request to the next, in microseconds, however late the answers are; 0: a request
    /// leaves when the one before is answered and `waiting` allows it.
    pub every_us: u64,
    /// The frames that not all have yet may then be so many.
    pub waiting: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Frames that all listeners have.
    pub frames: u64,
    /// From the first request until the last listener had the last frame.
    pub seconds: f64,
    /// From when a frame was due until the last listener had it: 99 of 100 frames took less.
    pub p99_ms: f64,
}

/// Connect, and do what each line of the input orders until it ends.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (mut crowd, orders) = crowd::Crowd::connect(arguments)?;
    hear(move |order| orders.give(order));
    say("ready")?;
    while let Some(outcome) = crowd.next()? {
        say(&serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}
