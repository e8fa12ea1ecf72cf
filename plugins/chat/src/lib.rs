//! The chat: rooms for clients of Phoenix channels, over websockets and long polls.
//!
//! ```text
//! websocket ─┐                                   ┌─ live ─▶ channels, presence, cache of the host
//!            ├─ entry ─ socket ─ room ─── world ─┤
//! poll ──────┘  (ban?)  (joins)  │               └─ store ─▶ SQL: history, bans, names
//!                                ├ moderation
//! page ─ site                    ├ history       chat-bridge ─ bridge ─▶ Discord
//!                                └ presence      chat-notices ─ notices ─▶ metadata, notifications
//! ```
//!
//! Everything between `socket` and `world` is plain Rust that knows no host.

mod access;
mod bridge;
mod entry;
mod history;
mod limits;
mod live;
mod moderation;
mod names;
mod notices;
mod outgoing;
mod phoenix;
mod poll;
mod presence;
mod room;
mod session;
mod settings;
mod site;
mod socket;
mod store;
#[cfg(test)]
mod tests;
mod websocket;
mod world;

use trellis_sdk::consumer::{Batch, Failure};
use trellis_sdk::http::{self, Request};

trellis_sdk::http!(answer);
trellis_sdk::consumer!(handle);
trellis_sdk::connection!(websocket::Chat);

/// Answer one request.
fn answer(request: Request<'_>) -> http::Result {
    match request.path() {
        "/chat" => site::answer(&request),
        _ => poll::answer(&request),
    }
}

/// Handle a batch of one of the topics.
fn handle(batch: Batch<'_>) -> Result<(), Failure> {
    match batch.topic() {
        bridge::TOPIC => bridge::deliver(&batch),
        _ => notices::publish(&batch),
    }
}
