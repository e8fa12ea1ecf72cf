//! One POST to another host, through `wasi:http/outgoing-handler`.

use std::fmt;

/// How long a connection, the head of the answer, and each part of it may take.
#[cfg(target_family = "wasm")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What matters of an answer.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<String>,
}

/// Why there is none.
#[derive(Debug)]
pub struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The parts of an address: whether it is encrypted, the authority, the path with its query. The
/// address is a secret, so no error repeats it.
fn parts(url: &str) -> Result<(bool, &str, &str), Failed> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let split = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    match (scheme, authority) {
        (_, "") => Err(Failed("the address of the webhook has no host".to_owned())),
        ("https", _) => Ok((true, authority, path)),
        ("http", _) => Ok((false, authority, path)),
        _ => Err(Failed("the address of the webhook is not one of the web".to_owned())),
    }
}

/// Send JSON and wait for the head of the answer.
#[cfg(target_family = "wasm")]
pub fn post(url: &str, json: &[u8]) -> Result<Answer, Failed> {
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{
        Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
    };

    /// What the host lets be written at a time at least.
    const PART: usize = 4096;
    let (is_encrypted, authority, path) = parts(url)?;
    let refused = |what: &str| Failed(format!("the host refused the {what}"));
    let length = json.len().to_string().into_bytes();
    let fields = [
        ("content-type".to_owned(), b"application/json".to_vec()),
        ("content-length".to_owned(), length),
    ];
    let fields = Fields::from_list(&fields).map_err(|_| refused("fields"))?;
    let request = OutgoingRequest::new(fields);
    let scheme = if is_encrypted { Scheme::Https } else { Scheme::Http };
    request.set_method(&Method::Post).map_err(|()| refused("method"))?;
    request.set_scheme(Some(&scheme)).map_err(|()| refused("scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| refused("authority"))?;
    request.set_path_with_query(Some(path)).map_err(|()| refused("path"))?;
    let options = RequestOptions::new();
    let patience = u64::try_from(PATIENCE.as_nanos()).ok();
    let set = options.set_connect_timeout(patience);
    let set = set.and_then(|()| options.set_first_byte_timeout(patience));
    set.and_then(|()| options.set_between_bytes_timeout(patience))
        .map_err(|()| refused("timeouts"))?;

    let body = request.body().map_err(|()| refused("body"))?;
    let sent = handle(request, Some(options)).map_err(|code| Failed(format!("{code:?}")))?;
    let stream = body.write().map_err(|()| refused("body"))?;
    for part in json.chunks(PART) {
        stream.blocking_write_and_flush(part).map_err(|error| Failed(error.to_string()))?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|code| Failed(format!("{code:?}")))?;
    sent.subscribe().block();
    let answer = sent.get().and_then(Result::ok).ok_or_else(|| refused("answer"))?;
    let answer = answer.map_err(|code| Failed(format!("{code:?}")))?;
    let retry_after = answer.headers().get("retry-after").into_iter().next();
    let retry_after = retry_after.and_then(|value| String::from_utf8(value).ok());
    Ok(Answer { status: answer.status(), retry_after })
}

/// Natively there is no host to ask.
#[cfg(not(target_family = "wasm"))]
pub fn post(url: &str, _json: &[u8]) -> Result<Answer, Failed> {
    parts(url)?;
    Err(Failed("there is no host".to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_path() {
        let url = "https://discord.com/api/webhooks/1/x?wait=true";
        assert_eq!(parts(url).unwrap(), (true, "discord.com", "/api/webhooks/1/x?wait=true"));
        assert_eq!(parts("http://127.0.0.1:7").unwrap(), (false, "127.0.0.1:7", ""));
        for url in ["", "discord.com/x", "ftp://x/secret", "https:///secret"] {
            let error = parts(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
