//! Discord: messages go to a topic first, and from there to the webhook, so that the chat does not
//! wait for it, and what fails comes again.

use serde::{Deserialize, Serialize};
use trellis_sdk::consumer::{Batch, Failure};
use trellis_sdk::log;

use crate::{live, outgoing};

/// Where messages are on their way.
pub const TOPIC: &str = "chat-bridge";
/// What is older is not news any more: it waited for a host that was away.
const MAX_AGE_MS: u64 = 15 * 60 * 1000;
/// The longest that Discord may have a message wait.
const MAX_WAIT_MS: f64 = 60_000.0;

/// A message as the room had it.
#[derive(Deserialize)]
struct Said {
    user: String,
    body: String,
    at: u64,
    #[serde(rename = "avatarUrl")]
    picture: Option<String>,
}

/// What the webhook takes.
#[derive(Debug, PartialEq, Serialize)]
struct Post {
    username: String,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    /// None: a message from here calls nobody there.
    allowed_mentions: Mentions,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Mentions {
    parse: [String; 0],
}

impl Post {
    fn of(said: Said) -> Self {
        // Names with these words are refused there.
        let lower = said.user.to_lowercase();
        let refused = ["discord", "clyde"].iter().any(|word| lower.contains(word));
        let (username, content) = match refused {
            true => ("chat".to_owned(), format!("{}: {}", said.user, said.body)),
            false => (said.user, said.body),
        };
        let allowed_mentions = Mentions::default();
        Self { username, content, avatar_url: said.picture, allowed_mentions }
    }
}

/// Post the messages of a batch, in order, up to the first that has to come again.
pub fn deliver(batch: &Batch<'_>) -> Result<(), Failure> {
    let settings = live::settings();
    let Some(url) = &settings.webhook else {
        // It was taken out of the settings with messages on their way.
        return Ok(());
    };
    for (index, message) in batch.iter().enumerate() {
        let said: Said = message.json().map_err(|error| Failure::dead_letter(index, error))?;
        if live::now_ms().saturating_sub(said.at) > MAX_AGE_MS {
            log::warn("a message for Discord waited too long and is left out");
            continue;
        }
        let post = serde_json::to_vec(&Post::of(said))?;
        let answer = outgoing::post(url, &post).map_err(|error| Failure::retry(index, error))?;
        judge(index, answer.status, answer.retry_after.as_deref())?;
    }
    Ok(())
}

/// What an answer of the webhook means for a message.
fn judge(index: usize, status: u16, retry_after: Option<&str>) -> Result<(), Failure> {
    let reason = format!("the webhook answered with {status}");
    match status {
        200..=299 => Ok(()),
        429 => {
            let seconds = retry_after.and_then(|text| text.parse::<f64>().ok()).unwrap_or(1.0);
            let wait = (seconds * 1000.0).clamp(100.0, MAX_WAIT_MS);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let wait = if wait.is_finite() { wait as u64 } else { 1000 };
            Err(Failure::retry_after(index, reason, wait))
        }
        408 | 500.. => Err(Failure::retry(index, reason)),
        // It will be refused each time: the webhook is gone, or the message is none for it.
        _ => Err(Failure::dead_letter(index, reason)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn said(user: &str) -> Said {
        Said { user: user.to_owned(), body: "@everyone hi".to_owned(), at: 0, picture: None }
    }

    #[test]
    fn a_message_calls_nobody() {
        let post = serde_json::to_value(Post::of(said("ada"))).unwrap();
        assert_eq!(
            post,
            serde_json::json!({
                "username": "ada", "content": "@everyone hi", "allowed_mentions": {"parse": []}
            })
        );
    }

    #[test]
    fn a_name_that_discord_refuses_goes_into_the_text() {
        let post = Post::of(said("Clyde"));
        assert_eq!(
            (post.username.as_str(), post.content.as_str()),
            ("chat", "Clyde: @everyone hi")
        );
    }

    #[test]
    fn what_fails_comes_again_and_what_is_refused_does_not() {
        assert!(judge(0, 204, None).is_ok());
        assert!(!judge(0, 503, None).unwrap_err().is_dead_letter());
        assert!(!judge(0, 429, Some("0.5")).unwrap_err().is_dead_letter());
        assert!(!judge(0, 429, Some("NaN")).unwrap_err().is_dead_letter());
        assert!(judge(3, 404, None).unwrap_err().is_dead_letter());
        assert_eq!(judge(3, 404, None).unwrap_err().index(), 3);
    }
}
