//! The long poll of Phoenix: a connection without a socket, for clients that cannot have one.
//!
//! ```text
//! GET               ─▶ {"status":410,"token":…}    a mailbox was opened; the token is the way to it
//! GET  ?token=…     ─▶ 200 with messages, 204 without; 410 and a new token when it has ended
//! POST ?token=…     ─▶ 200: the frames in the body, one a line, were handled
//! ```
//!
//! The status is in the JSON; that of HTTP is 200, as the client wants it.

use std::time::Duration;

use serde_json::{Value, json};
use trellis_sdk::channels::{self, Frame};
use trellis_sdk::http::{Request, Response, Result};
use trellis_sdk::{log, mailbox};

use crate::access::is_same;
use crate::entry::{self, Closed};
use crate::live::Live;
use crate::session::{Connection, Session};
use crate::socket;
use crate::world::World;

/// How long a poll waits for a message. The client gives up after 20 seconds.
const WAIT: Duration = Duration::from_secs(10);
/// How long a client may be away between two polls.
const IDLE: Duration = Duration::from_secs(30);
/// The most messages of one answer, and of one request.
const MOST: u32 = 100;
/// How long a request may handle its messages before another one may begin.
const TURN_MS: u64 = 30_000;

/// Answer one request.
pub fn answer(request: &Request<'_>) -> Result {
    let answer = match request.method() {
        "GET" => poll(request)?,
        "POST" => post(request)?,
        "OPTIONS" => {
            let asked = request.header("access-control-request-headers").unwrap_or_default();
            Response::new(200)
                .with_header("access-control-allow-headers", asked)
                .with_header("access-control-allow-methods", "GET, POST, OPTIONS")
                .with_header("access-control-max-age", "3600")
        }
        _ => Response::text("send GET or POST").with_status(405),
    };
    // A token is not sent by itself, as a cookie would be, so any page may use the chat.
    Ok(answer
        .with_header("access-control-allow-origin", "*")
        .with_header("cache-control", "no-store"))
}

fn poll(request: &Request<'_>) -> Result {
    if let Some((connection, _)) = resume(request)
        && let Some(frames) = mailbox::read(connection, MOST, WAIT)
    {
        let texts = frames.into_iter().filter_map(|frame| match frame {
            Frame::Text(text) => Some(text),
            Frame::Binary(_) => None,
        });
        let messages: Vec<_> = texts.collect();
        let status = if messages.is_empty() { 204 } else { 200 };
        return Response::json(
            &json!({"status": status, "token": said_token(request), "messages": messages}),
        );
    }
    begin(request)
}

/// Open a mailbox.
fn begin(request: &Request<'_>) -> Result {
    let token = request.header("x-phoenix-authtoken").map(str::to_owned);
    let token = token.or_else(|| tokens(request).0);
    let session = match entry::enter(request.client_ip(), token.as_deref()) {
        Ok(session) => session,
        Err(Closed::Banned(mut told)) => {
            told["status"] = json!(403);
            return Response::json(&told);
        }
        Err(Closed::Unavailable) => return status(500),
    };
    match mailbox::open(&session.tag(), IDLE) {
        Ok(connection) => {
            let token = token_of(connection, &session.key);
            Response::json(&json!({"status": 410, "token": token, "messages": []}))
        }
        Err(error) => {
            log::error(format_args!("a mailbox cannot be opened: {error:?}"));
            status(500)
        }
    }
}

fn post(request: &Request<'_>) -> Result {
    let Some((connection, mut session)) = resume(request) else {
        return status(410);
    };
    let Ok(body) = std::str::from_utf8(request.body()) else {
        return status(400);
    };
    let mut live = Live::new();
    // A client sends one request after the other. Two at a time would each begin with the same tag.
    let word = format!("post/{}", session.key);
    if !live.claim(&word, TURN_MS) {
        return status(409);
    }
    // It may have changed before the turn came.
    let tag = channels::tag(connection).unwrap_or_default();
    session = Session::read(&tag).unwrap_or(session);
    for line in lines(body, request.media_type() == "application/x-ndjson") {
        socket::message(&mut live, connection, &mut session, line);
    }
    live.put(connection, session, tag);
    live.finish();
    live.release(&word);
    status(200)
}

/// The frames of a body. A line that is no JSON is a binary frame, which nothing here is made of.
fn lines(body: &str, many: bool) -> impl Iterator<Item = &str> {
    let most = if many { MOST as usize } else { 1 };
    let end = if many { '\n' } else { '\0' };
    body.split(end).map(str::trim).filter(|line| line.starts_with('[')).take(most)
}

fn status(status: u16) -> Result {
    Response::json(&json!({"status": status}))
}

/// The token of a poll, as the request has it.
fn said_token(request: &Request<'_>) -> Value {
    let header = request.header("x-phoenix-longpoll-token").map(str::to_owned);
    header.or_else(|| tokens(request).1).map_or(Value::Null, Value::from)
}

/// The parameters `token` of a query: the client's own, where it has one, and that of the poll, which
/// the client puts behind it.
fn tokens(request: &Request<'_>) -> (Option<String>, Option<String>) {
    let tokens = request.query_pairs().filter(|(name, _)| name == "token");
    let mut tokens: Vec<_> = tokens.map(|(_, token)| token.into_owned()).collect();
    let last = tokens.pop();
    (tokens.into_iter().next(), last)
}

/// The mailbox that a request has the token of.
fn resume(request: &Request<'_>) -> Option<(Connection, Session)> {
    let token = said_token(request);
    let (connection, key) = parts(token.as_str()?)?;
    let session = Session::read(&channels::tag(connection)?)?;
    // The number can be guessed, the key cannot.
    is_same(key, &session.key).then_some((connection, session))
}

fn token_of(connection: Connection, key: &str) -> String {
    format!("{connection:x}.{key}")
}

fn parts(token: &str) -> Option<(Connection, &str)> {
    let (connection, key) = token.split_once('.')?;
    Some((Connection::from_str_radix(connection, 16).ok()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_a_mailbox_and_its_key() {
        assert_eq!(parts(&token_of(255, "abc")), Some((255, "abc")));
        for token in ["", "null", ".", "x.y", "1", "11111111111111111.a"] {
            assert_eq!(parts(token), None, "{token}");
        }
    }

    #[test]
    fn a_body_has_a_frame_on_each_line() {
        let body = "[1]\r\n\nAAAA\n[2]\n";
        assert_eq!(lines(body, true).collect::<Vec<_>>(), ["[1]", "[2]"]);
        assert_eq!(lines("[1,\n2]", false).collect::<Vec<_>>(), ["[1,\n2]"]);
        assert_eq!(lines(&"[]\n".repeat(500), true).count(), 100);
    }
}
