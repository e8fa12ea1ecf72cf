//! What is said to bytes that are no request.
//!
//! hyper answers them before there is a request to serve: a status line and nothing else, and it
//! has no hook to say it in other words. So its answer is recognised where it leaves, by being byte
//! for byte what hyper writes and nobody else does, and goes out as every other refusal of the
//! host: with a sentence and with an id that is in the log too.
//!
//! One that leaves together with the end of the answer before it goes out as it is.

use http::StatusCode;

use super::{client::Id, refusal::Refusal};

/// What stands between the status line and the time in a bare answer.
const FIELDS: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\ndate: ";
/// `Sat, 21 Nov 2026 11:48:34 GMT`
const DATE: usize = 29;

/// What to send instead of these bytes; `None` when they are anything but a bare answer.
pub fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let status = StatusCode::from_bytes(&[b"4", rest.get(..2)?].concat()).ok()?;
    let line = format!("{} {}", status.as_str(), status.canonical_reason()?);
    let fields = bytes.strip_prefix(b"HTTP/1.1 ")?.strip_prefix(line.as_bytes())?;
    let date = fields.strip_prefix(FIELDS)?.strip_suffix(b"\r\n\r\n")?;
    let date = std::str::from_utf8(date).ok().filter(|date| date.len() == DATE)?;
    let id = Id::made_up();
    tracing::debug!(id = id.as_str(), status = status.as_u16(), "what came is no request");
    let text = Refusal::new(status, sentence(status)).text();
    let (id, length) = (id.as_str(), text.len());
    let answer = format!(
        "HTTP/1.1 {line}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
         x-request-id: {id}\r\ncontent-length: {length}\r\ndate: {date}\r\n\r\n{text}"
    );
    Some(answer.into_bytes())
}

fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the head of the request is too large",
        StatusCode::URI_TOO_LONG => "the path of the request is too long",
        _ => "this is no request of HTTP",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Sat, 21 Nov 2026 11:48:34 GMT\r\n\r\n";

    #[test]
    fn a_bare_answer_gets_an_id_and_a_sentence() {
        let answer = String::from_utf8(instead_of(BARE.as_bytes()).unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n"), "{head}");
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(head.ends_with("date: Sat, 21 Nov 2026 11:48:34 GMT"), "{head}");
        let id = head.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert_eq!(id.len(), 16);
        assert_eq!(body, "400: this is no request of HTTP\n");
    }

    #[test]
    fn any_other_bytes_pass() {
        let others = [
            BARE.replace("date", "x-request-id: 1\r\ndate"),
            BARE.replace("400 Bad Request", "200 OK"),
            BARE.replace("length: 0", "length: 2"),
            BARE.to_owned() + "more",
            BARE[..BARE.len() - 1].to_owned(),
            "HTTP/1.1 4".to_owned(),
            String::new(),
        ];
        for other in others {
            assert_eq!(instead_of(other.as_bytes()), None, "{other}");
        }
    }
}
