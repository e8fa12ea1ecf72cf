//! A radio station's source and its listeners, for any server that speaks the protocol of Icecast.
//!
//! ```text
//!  sound ─ source ── PUT, in real time ─▶ server ── audio, titles ─▶ player ┐
//!  station ── GET /admin/metadata ──────▶   │    ── audio, titles ─▶ player ├ audience
//!                                           └──── ...                       ┘
//! ```
//!
//! The source is a program of its own, and so is the audience, all of it on one thread.

pub mod audience;
pub mod icecast;
mod icy;
mod player;
mod sound;
pub mod source;

/// What the source plays in.
pub const MOUNT: &str = "/bench.mp3";
/// What both servers know the source by: Icecast as `source` with this password, the plugin as a
/// DJ whose name and password it is.
pub const PASSWORD: &str = "bench;secret";
/// `source` and the password, as `Basic` has it.
pub const AUTHORIZATION: &str = "Basic c291cmNlOmJlbmNoO3NlY3JldA==";

pub use sound::RATE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_says_the_password_that_servers_are_told() {
        // Three bytes are four characters of six bits each.
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let said = AUTHORIZATION.trim_start_matches("Basic ").trim_end_matches('=');
        let bits = said.chars().map(|c| alphabet.find(c).unwrap_or_default());
        let bits: String = bits.map(|six| format!("{six:06b}")).collect();
        let bytes = bits.as_bytes().as_chunks::<8>().0.iter();
        let said: String = bytes
            .map(|byte| byte.iter().fold(0, |all, bit| all << 1 | (bit - b'0')))
            .map(char::from)
            .collect();
        assert_eq!(said, format!("source:{PASSWORD}"));
    }
}
