//! Websockets: who is let in, and their events.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use trellis_sdk::channels::{self, Frame};
use trellis_sdk::connection::{Accepted, Connections, Event, Refused, Request, Transport, What};

use crate::entry::{self, Closed};
use crate::live::Live;
use crate::socket;

/// The subprotocol of Phoenix, and what a token begins with that is sent as another one.
const PROTOCOL: &str = "phoenix";
const BEARER: &str = "base64url.bearer.phx.";
/// The close code of a host that begins anew: the client comes again.
const RESTART: u16 = 1012;

/// The connections of the chat.
pub struct Chat;

impl Connections for Chat {
    fn open(request: Request) -> Result<Accepted, Refused> {
        if !matches!(request.transport, Transport::Websocket) {
            return Err(Refused::new(426, "this is a websocket").header("upgrade", "websocket"));
        }
        if !request.query_value("vsn").is_some_and(|vsn| vsn.starts_with("2.")) {
            return Err(Refused::new(400, "this speaks version 2 of the protocol: `vsn=2.0.0`"));
        }
        let bearer = request.protocols.iter().find_map(|protocol| bearer(protocol));
        let token = bearer.or_else(|| request.query_value("token"));
        let session = entry::enter(&request.client_ip, token.as_deref()).map_err(refused)?;
        let accepted = Accepted::new().tag(session.tag());
        // A client that offers protocols takes no answer without one.
        match request.protocols.iter().any(|protocol| protocol == PROTOCOL) {
            true => Ok(accepted.protocol(PROTOCOL)),
            false => Ok(accepted),
        }
    }

    fn events(batch: Vec<Event>) {
        let mut live = Live::new();
        for Event { connection, tag, what } in batch {
            let Some((mut session, tag)) = live.take(connection, &tag) else {
                // Of a version that wrote tags in another way.
                if matches!(what, What::Message(_)) {
                    let _ = channels::close(connection, RESTART, "please come again");
                }
                continue;
            };
            match what {
                What::Message(Frame::Text(text)) => {
                    socket::message(&mut live, connection, &mut session, &text);
                }
                // Binary frames carry payloads that nothing in a chat is made of.
                What::Message(Frame::Binary(_)) => {
                    socket::no_frame(&mut live, connection, &mut session);
                }
                What::Closed(_) => {
                    socket::closed(&mut live, connection, &mut session);
                    continue;
                }
            }
            live.put(connection, session, tag);
        }
        live.finish();
    }
}

/// The token in a subprotocol.
fn bearer(protocol: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(protocol.strip_prefix(BEARER)?).ok()?;
    String::from_utf8(bytes).ok()
}

fn refused(closed: Closed) -> Refused {
    match closed {
        Closed::Banned(told) => {
            let mut refused = Refused::new(403, told.to_string());
            refused.headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            refused
        }
        Closed::Unavailable => Refused::new(503, "the chat is not available, try again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_come_as_a_subprotocol() {
        let protocol = format!("{BEARER}{}", STANDARD_NO_PAD.encode("a.b.c"));
        assert_eq!(bearer(&protocol), Some("a.b.c".into()));
        assert_eq!(bearer("phoenix"), None);
        assert_eq!(bearer("base64url.bearer.phx.%%"), None);
    }
}
