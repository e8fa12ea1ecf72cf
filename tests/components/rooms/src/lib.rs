//! Rooms: what one connection says, all in its room hear. Its clients ask for whatever a test
//! wants to see.
//!
//! `/rooms/{room}?name=&from=&refuse=&icy=` opens a connection. Words of a client:
//!
//! | message | what happens |
//! |---|---|
//! | `say TEXT` | the room hears `NAME: TEXT` |
//! | `me TEXT` | the client gets `NAME: TEXT` |
//! | `name NAME` | it is called NAME from here on |
//! | `join ROOM`, `leave ROOM` | it hears another room, or no longer |
//! | `bye CODE` | it is closed with CODE |
//! | `trap` | the room hears `never`, and the guest traps |
//! | binary | it gets the same back |

use std::time::Duration;

use trellis_sdk::{
    channels::{self, Frame, Start},
    connection::{Accepted, Connections, Event, Refused, Request, Transport, What},
    http::{self, Response},
    mailbox, presence,
};

trellis_sdk::connection!(Rooms);
trellis_sdk::http!(answer);

struct Rooms;

impl Connections for Rooms {
    fn open(request: Request) -> Result<Accepted, Refused> {
        if let Some(status) = request.query_value("refuse") {
            let status = status.parse().unwrap_or(403);
            return Err(Refused::new(status, "not you").header("x-why", "asked"));
        }
        assert!(request.query_value("trap").is_none(), "asked to trap in `open`");
        let room = request.param("room").unwrap_or_default().to_owned();
        let name = request.query_value("name").unwrap_or_else(|| "nobody".to_owned());
        let start = match (request.query_value("from").as_deref(), request.last_event) {
            (_, Some(last)) => Start::After(last),
            (Some("all"), _) => Start::Recent(u32::MAX),
            (Some(count), _) => Start::Recent(count.parse().unwrap_or(0)),
            (None, None) => Start::Next,
        };
        let transport = match request.transport {
            Transport::Websocket => "websocket",
            Transport::EventStream => "event-stream",
            Transport::Stream => "stream",
        };
        let mut accepted = Accepted::new()
            .tag(format!("{room}/{name}"))
            .join(&room, start)
            .header("x-transport", transport);
        if request.query_value("hello").is_some() {
            accepted = accepted.first(format!("hello {name} at {}", request.connection));
        }
        if let Some(interval) = request.query_value("icy") {
            accepted = accepted.icy(interval.parse().unwrap_or(0));
        }
        if request.protocols.iter().any(|protocol| protocol == "two") {
            accepted = accepted.protocol("two");
        }
        Ok(accepted)
    }

    fn events(batch: Vec<Event>) {
        for event in batch {
            let Event { connection, tag, what } = event;
            let (room, name) = tag.split_once('/').unwrap_or(("", ""));
            match what {
                What::Message(Frame::Text(text)) => said(connection, room, name, &text),
                What::Message(Frame::Binary(bytes)) => {
                    let _ = channels::send(connection, bytes);
                }
                What::Closed(closing) => {
                    let _ = channels::publish(room, format!("{name} left: {}", closing.code));
                }
            }
        }
    }
}

fn said(connection: u64, room: &str, name: &str, text: &str) {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let done = match verb {
        "say" => channels::publish(room, format!("{name}: {rest}")),
        "me" => channels::send(connection, format!("{name}: {rest}")),
        "name" => channels::retag(connection, &format!("{room}/{rest}")),
        "join" => channels::join(connection, rest, Start::Next),
        "leave" => {
            channels::leave(connection, rest);
            Ok(())
        }
        "show" => presence::show(connection, room, name, rest),
        "bye" => channels::close(connection, rest.parse().unwrap_or(1000), "asked"),
        "trap" => {
            let _ = channels::publish(room, "never");
            panic!("asked to trap in `events`");
        }
        _ => channels::send(connection, format!("`{verb}` is no verb")),
    };
    if let Err(error) = done {
        let _ = channels::send(connection, format!("{error:?}"));
    }
}

fn answer(request: http::Request<'_>) -> http::Result {
    let room = request.param("room").unwrap_or_default();
    let first = request.path().split('/').nth(1).unwrap_or_default().to_owned();
    Ok(match (first.as_str(), request.param("number")) {
        ("post", _) => {
            for line in String::from_utf8_lossy(request.body()).lines() {
                channels::publish(room, line)?;
            }
            Response::text("said")
        }
        ("tune", _) => {
            let response = Response::channel(room, Start::Recent(2));
            let kind = request.query_value("type").unwrap_or("audio/mpeg".into());
            response.with_header("content-type", kind.as_bytes()).with_header("icy-metaint", "256")
        }
        ("title", _) => {
            channels::title(room, &String::from_utf8_lossy(request.body()))?;
            Response::text("told")
        }
        ("who", _) => {
            let who = presence::who(room).into_iter();
            Response::text(who.map(|who| who.key + "=" + &who.meta).collect::<Vec<_>>().join(" "))
        }
        ("recent", _) => Response::text(texts(channels::recent(room, 1000))),
        ("stats", _) => Response::text(channels::listeners(room).to_string()),
        (_, None) => {
            let room = request.query_value("room").unwrap_or_default();
            let number = mailbox::open(&format!("{room}/mail"), Duration::from_secs(1))?;
            channels::join(number, &room, Start::Next)?;
            Response::text(number.to_string())
        }
        (_, Some(number)) => match mailbox::read(number.parse()?, 100, wait(&request)) {
            Some(frames) => Response::text(texts(frames)),
            None => Response::text("it has ended").with_status(410),
        },
    })
}

fn wait(request: &http::Request<'_>) -> Duration {
    let wait = request.query_value("wait").and_then(|wait| wait.parse().ok());
    Duration::from_millis(wait.unwrap_or(0))
}

fn texts(frames: Vec<Frame>) -> String {
    let text = |frame| match frame {
        Frame::Text(text) => text,
        Frame::Binary(bytes) => format!("{} bytes", bytes.len()),
    };
    frames.into_iter().map(text).collect::<Vec<_>>().join("\n")
}
