//! What was said before, in pages. Messages of a room are numbered without gaps, so a client that
//! sees a gap, or comes back, asks for what is behind the last number that it has.

use serde_json::{Value, json};

use crate::settings::PAGE;
use crate::socket::Turn;
use crate::world::{Span, Stored, World};

/// The largest page in bytes: several of them may wait for one client.
const MAX_BYTES: usize = 64 << 10;

/// A page as clients get it: `messages`, the number of the room's `last` one, and whether there are
/// `more` in the direction that was asked for.
pub fn page(world: &mut dyn World, room: &str, span: Span) -> Stored<Value> {
    let page = world.page(room, span, PAGE)?;
    let full = page.messages.len() as u64 == PAGE;
    let mut messages: Vec<Value> = page.messages.into_iter().map(with_id).collect();
    let cut = fit(&mut messages, matches!(span, Span::After(_)));
    Ok(json!({"messages": messages, "last": page.last, "more": full || cut}))
}

fn with_id((id, mut message): (u64, Value)) -> Value {
    if message.is_object() {
        message["id"] = json!(id);
    }
    message
}

/// Leave out what does not fit: the newest of what comes behind a number, else the oldest.
fn fit(messages: &mut Vec<Value>, keep_oldest: bool) -> bool {
    let mut room = MAX_BYTES;
    let fits = |message: &Value| {
        let size = message.to_string().len();
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    let all = messages.len();
    let count = match keep_oldest {
        true => messages.iter().map(fits).take_while(|fits| *fits).count(),
        false => messages.iter().rev().map(fits).take_while(|fits| *fits).count(),
    };
    match keep_oldest {
        true => messages.truncate(count),
        false => drop(messages.drain(..all - count)),
    }
    count < all
}

/// Answer `history {"after": id}`, `{"before": id}` or `{}`.
pub fn answer(mut turn: Turn<'_>) {
    let span = match (turn.frame.number("after"), turn.frame.number("before")) {
        (Some(after), _) => Span::After(after),
        (None, Some(before)) => Span::Before(before),
        (None, None) => Span::Last,
    };
    let room = turn.frame.topic.clone();
    match page(turn.world, &room, span) {
        Ok(page) => turn.ok(&page),
        Err(_) => turn.unavailable(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_at_the_end_that_can_be_asked_for_again() {
        let long = |n: u64| json!({"id": n, "body": "x".repeat(30 << 10)});
        let mut messages = vec![long(1), long(2), long(3)];
        assert!(fit(&mut messages, true));
        assert_eq!(
            messages.iter().map(|m| m["id"].clone()).collect::<Vec<_>>(),
            [json!(1), json!(2)]
        );
        let mut messages = vec![long(1), long(2), long(3)];
        assert!(fit(&mut messages, false));
        assert_eq!(
            messages.iter().map(|m| m["id"].clone()).collect::<Vec<_>>(),
            [json!(2), json!(3)]
        );
        let mut messages = vec![json!({"id": 1})];
        assert!(!fit(&mut messages, true));
        assert_eq!(messages.len(), 1);
    }
}
