//! What the operator set; read once by each instance: a change starts a new generation.

use trellis_sdk::{config, log};

use crate::limits::Pace;
use crate::names;

/// How many messages of a room are kept.
pub const KEPT: u64 = 500;
/// How many of them somebody sees who comes in, and at most in one page.
pub const PAGE: u64 = 50;
/// The longest message, in characters.
pub const MAX_BODY: usize = 1000;
/// A secret that is shorter than what it makes can be guessed.
const GOOD_SECRET: usize = 32;

/// The settings of `plugin.toml`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The topics of the rooms there are, `rooms:lobby`.
    pub rooms: Vec<String>,
    /// Names that take a token, as [`names::key`] has them.
    pub reserved: Vec<String>,
    /// How fast one may talk.
    pub messages: Pace,
    /// What tokens are signed with; without it there are none.
    pub jwt_secret: Option<Vec<u8>>,
    /// Where messages go besides.
    pub webhook: Option<String>,
}

impl Settings {
    /// Ask the host.
    pub fn read() -> Self {
        let secret = config::get("jwt-secret").filter(|secret| !secret.is_empty());
        if secret.as_ref().is_some_and(|secret| secret.len() < GOOD_SECRET) {
            log::warn("`jwt-secret` has less than 32 bytes: tokens could be forged by guessing it");
        }
        let rooms = config::list("rooms");
        Self {
            rooms: rooms.iter().map(|room| format!("rooms:{room}")).take(16).collect(),
            reserved: config::list("reserved-names").iter().map(|name| names::key(name)).collect(),
            messages: Self::pace(config::parse("burst"), config::parse("seconds-per-message")),
            jwt_secret: secret.map(String::into_bytes),
            webhook: config::get("discord-webhook").filter(|url| !url.is_empty()),
        }
    }
}
