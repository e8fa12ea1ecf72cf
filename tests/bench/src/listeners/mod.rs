//! Many websockets on one thread, which count what they hear, and the publisher that they hear.
//!
//! ```text
//!  orders (a line each) ─▶ crowd ─▶ publisher ── POST ─▶ server
//!  outcomes (a line each) ◀─ tally ◀─ frames ◀─ sockets ◀── frames
//! ```
//!
//! Publisher and listeners are one program, so that the time of a frame is told by one clock, and
//! so that the next frame can leave at the moment the last listener has the one before.

use std::{
    io::{BufRead, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

mod crowd;
mod frames;
mod publisher;
pub mod remote;
mod socket;
mod tally;

/// What is connected where. Once all are, the program says `ready` and takes [`Order`]s.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// The path that takes websockets.
    #[arg(long)]
    listen: String,
    /// The path that publishes.
    #[arg(long)]
    publish: String,
    /// How many listen.
    #[arg(long)]
    count: u32,
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
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if orders.give(serde_json::from_str(&line).context("an order")).is_err() {
                break;
            }
        }
    });
    say("ready")?;
    while let Some(outcome) = crowd.next()? {
        say(&serde_json::to_string(&outcome)?)?;
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
