//! Connections: who comes in, what they hear, and what becomes of what they say.

use std::collections::HashMap;

use trellis_sdk::channels::{self, Connection, Frame, Start};
use trellis_sdk::connection::{Accepted, Connections, Event, Refused, Request, Transport, What};
use trellis_sdk::log;

use crate::filter::{self, From};
use crate::login::Session;
use crate::settings::{self, Settings};
use crate::talk::{self, Act, State};
use crate::{now_ms, origin};

/// What an event stream that comes back gets of each of several channels: it knows the number of
/// its last event, but not in which of them.
const AGAIN: u32 = 1000;

/// The viewers.
pub struct Viewers;

impl Connections for Viewers {
    fn open(request: Request) -> Result<Accepted, Refused> {
        match settings::get() {
            Ok(settings) => open(settings, &request),
            Err(error) => {
                log::error(error);
                Err(refuse(503, "the settings of the live view have a mistake: see the log"))
            }
        }
    }

    fn events(batch: Vec<Event>) {
        let now_s = now_ms() / 1000;
        // What a message changes is in the tag of the next batch, not of the next event.
        let mut states: HashMap<Connection, Option<State>> = HashMap::new();
        for Event { connection, tag, what } in batch {
            let state = states.entry(connection).or_insert_with(|| State::of(&tag));
            let acts = match (what, state) {
                (What::Closed(_), _) => continue,
                (What::Message(_), None) => vec![talk::start_over()],
                (What::Message(Frame::Text(text)), Some(state)) => state.hear(&text, now_s),
                (What::Message(Frame::Binary(_)), Some(_)) => {
                    vec![talk::complain("messages are JSON, as text")]
                }
            };
            acts.into_iter().for_each(|act| perform(connection, act));
        }
    }
}

fn perform(connection: Connection, act: Act) {
    let done = match act {
        Act::Join(channel, start) => channels::join(connection, &channel, start),
        Act::Leave(channel) => {
            channels::leave(connection, &channel);
            Ok(())
        }
        Act::Send(text) => channels::send(connection, text),
        Act::Retag(tag) => channels::retag(connection, &tag),
        Act::Close(code, reason) => channels::close(connection, code, reason),
    };
    if let Err(error) = done {
        // Only that there are too many channels can be the client's business.
        log::warn(format_args!("a viewer's wish was not fulfilled: {error}"));
        let Act::Send(text) = talk::complain(&error.to_string()) else { return };
        let _ = channels::send(connection, text);
    }
}

fn open(settings: &Settings, request: &Request) -> Result<Accepted, Refused> {
    let host = request.header("host").unwrap_or(&request.host);
    if !origin::may(request.header("origin"), host, &settings.origins) {
        return Err(refuse(403, "a page of another origin may not see the events"));
    }
    let mut until = None;
    if let Some(users) = &settings.users {
        let mut cookies = request.headers.iter().filter(|(name, _)| name == "cookie");
        let now_s = request.time_ms / 1000;
        let session = cookies.find_map(|(_, cookies)| Session::of(users, cookies, now_s));
        let session = session.ok_or_else(|| refuse(401, "log in at /kafidx first"))?;
        until = Some(session.until);
    }
    let query = request.query.as_deref().unwrap_or_default();
    let (filter, from) = filter::read(query).map_err(|error| refuse(400, &error))?;

    let channels = filter.channels();
    let start = match request.last_event {
        Some(last) if channels.len() == 1 => Start::After(last),
        Some(_) => Start::Recent(AGAIN),
        None => from.unwrap_or(From::Now).start(),
    };
    let mut accepted = Accepted::new().tag(State { filter, paused: false, until }.tag());
    for channel in channels {
        accepted = accepted.join(channel, start);
    }
    match request.transport {
        Transport::Websocket => Ok(accepted),
        Transport::EventStream => Ok(accepted.header("cache-control", "no-store")),
        Transport::Stream => Ok(accepted
            .header("content-type", "application/x-ndjson")
            .header("cache-control", "no-store")),
    }
}

fn refuse(status: u16, error: &str) -> Refused {
    let mut refused = Refused::new(status, "");
    refused.headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("cache-control".to_owned(), "no-store".to_owned()),
    ];
    refused.body = serde_json::json!({"error": error}).to_string().into_bytes();
    refused
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::login::{COOKIE, Users};

    fn settings(users: Option<&str>) -> Settings {
        let users = users.map(|users| Users::written(users).unwrap());
        Settings { users, session_s: 60, origins: vec![] }
    }

    fn request(transport: Transport, query: &str, headers: &[(&str, &str)]) -> Request {
        let headers =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Request {
            connection: 1,
            transport,
            host: "view.example".into(),
            path: "/kafidx/socket".into(),
            query: Some(query.into()),
            params: vec![],
            headers,
            client_ip: "192.0.2.1".into(),
            id: "1".into(),
            time_ms: 5_000,
            protocols: vec![],
            last_event: None,
        }
    }

    fn joins(accepted: &Accepted) -> Vec<String> {
        accepted.join.iter().map(|(channel, start)| format!("{channel} {start:?}")).collect()
    }

    #[test]
    fn without_users_everybody_hears_all_from_now_on() {
        let accepted = open(&settings(None), &request(Transport::Websocket, "gid=7", &[])).unwrap();
        assert_eq!(joins(&accepted), ["all Start::Next"]);
        assert_eq!(State::of(&accepted.tag), Some(State::default()));
    }

    #[test]
    fn the_query_says_which_types_and_from_when() {
        let request = request(Transport::Stream, "filter=a,b&from=beginning", &[]);
        let accepted = open(&settings(None), &request).unwrap();
        assert_eq!(
            joins(&accepted),
            ["type/a Start::Recent(10000)", "type/b Start::Recent(10000)"]
        );
        assert!(accepted.headers.contains(&("content-type".into(), "application/x-ndjson".into())));
    }

    #[test]
    fn an_event_stream_that_comes_back_goes_on_behind_its_last_event() {
        let mut again = request(Transport::EventStream, "from=beginning", &[]);
        again.last_event = Some(41);
        assert_eq!(joins(&open(&settings(None), &again).unwrap()), ["all Start::After(41)"]);
        again.query = Some("filter=a,b".into());
        assert_eq!(joins(&open(&settings(None), &again).unwrap())[0], "type/a Start::Recent(1000)");
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for (origin, wanted) in [
            ("https://view.example", None),
            ("https://view.example:8443", Some(403)),
            ("https://evil.example", Some(403)),
            ("null", Some(403)),
        ] {
            let request = request(Transport::Websocket, "", &[("origin", origin)]);
            let refused = open(&settings(None), &request).err().map(|refused| refused.status);
            assert_eq!(refused, wanted, "{origin}");
        }
        let headers = [("host", "view.example:8443"), ("origin", "https://view.example:8443")];
        assert!(open(&settings(None), &request(Transport::Websocket, "", &headers)).is_ok());
    }

    #[test]
    fn with_users_only_a_session_comes_in_and_only_until_its_end() {
        let settings = settings(Some("ada:secret"));
        let user = settings.users.as_ref().unwrap().named("ada").unwrap();
        for transport in [Transport::Websocket, Transport::EventStream, Transport::Stream] {
            let refused = open(&settings, &request(transport, "", &[])).unwrap_err();
            assert_eq!(refused.status, 401);
            let cookie = |until| format!("{COOKIE}={}", Session { user, until }.value());
            let accepted =
                open(&settings, &request(transport, "", &[("cookie", &cookie(6))])).unwrap();
            assert_eq!(State::of(&accepted.tag).unwrap().until, Some(6));
            assert!(open(&settings, &request(transport, "", &[("cookie", &cookie(5))])).is_err());
        }
    }

    #[test]
    fn a_query_that_is_wrong_is_answered_with_what_is_wrong() {
        let refused =
            open(&settings(None), &request(Transport::Websocket, "from=x", &[])).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.body.starts_with(br#"{"error":""#));
    }
}
