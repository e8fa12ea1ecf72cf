//! Answers on the sources' port, which are followed by the end of the connection.

use trellis_sdk::socket::Reply;

/// An answer with a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    content_type: &'static str,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// A sentence for people.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        let body = text.into() + "\n";
        Self { status, content_type: "text/plain; charset=utf-8", fields: Vec::new(), body }
    }

    /// 200 with something for programs.
    pub fn content(content_type: &'static str, body: String) -> Self {
        Self { status: 200, content_type, fields: Vec::new(), body }
    }

    /// With a further header field, whose value has one line.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// What it says.
    pub fn text(&self) -> &str {
        self.body.trim_end()
    }

    /// As bytes, and then the end.
    pub fn reply(&self) -> Reply {
        let reason = reason(self.status);
        let mut text = format!(
            "HTTP/1.0 {} {reason}\r\nserver: trellis\r\ncontent-type: {}\r\ncontent-length: {}\r\n\
             connection: close\r\ncache-control: no-store\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        );
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        Reply::send(text).close(reason)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_ends_the_connection() {
        let reply = Answer::new(401, "who are you?").with("www-authenticate", "Basic").reply();
        let text = String::from_utf8(reply.send).unwrap();
        assert!(text.starts_with("HTTP/1.0 401 Unauthorized\r\n"), "{text}");
        assert!(
            text.contains("\r\ncontent-length: 13\r\n")
                && text.contains("\r\nwww-authenticate: Basic\r\n")
        );
        assert!(text.ends_with("\r\n\r\nwho are you?\n"));
        assert!(reply.close.is_some());
    }
}
