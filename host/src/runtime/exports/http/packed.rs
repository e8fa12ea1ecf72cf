//! `trellis:http/packed-handler`: writes request heads, reads response heads.
//!
//! The layout is drawn in `wit/http/http.wit`.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes};
use http::HeaderMap;

use super::Exports;
use crate::runtime::{CallError, Lease};

/// Head and body of a request.
pub type Params = (Vec<u8>, Bytes);
/// Head and body of a response.
pub type Answer = ((Bytes, Bytes),);

const VERSION: u8 = 1;
const HTTPS: u8 = 1;
const QUERY: u8 = 2;

/// What the head of a request is made of.
pub struct Head<'a> {
    /// Whether the client used TLS.
    pub https: bool,
    /// `GET`
    pub method: &'a str,
    /// Without a port.
    pub host: &'a str,
    /// Still encoded.
    pub path: &'a str,
    /// Still encoded.
    pub query: Option<&'a str>,
    /// Of the client.
    pub client_ip: &'a str,
    /// Of the request.
    pub id: &'a str,
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// What the route matched.
    pub params: &'a [(&'a str, Cow<'a, str>)],
}

impl Head<'_> {
    /// The packed head, with the header fields in their order.
    pub fn pack(&self, headers: &HeaderMap) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let query = if self.query.is_some() { QUERY } else { 0 };
        out.put_u8(VERSION);
        out.put_u8(if self.https { HTTPS } else { 0 } | query);
        out.put_u16_le(self.params.len() as u16);
        out.put_u32_le(headers.len() as u32);
        out.put_u64_le(self.time_ms);
        for text in [
            self.method,
            self.host,
            self.path,
            self.query.unwrap_or_default(),
            self.client_ip,
            self.id,
        ] {
            put(&mut out, text.as_bytes());
        }
        for (name, value) in self.params {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        for (name, value) in headers {
            put(&mut out, name.as_str().as_bytes());
            put(&mut out, value.as_bytes());
        }
        out
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32_le(bytes.len() as u32);
    out.extend_from_slice(bytes);
}

/// A response head that a guest packed. Names and values are checked by whoever sends them.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status as the guest gave it.
    pub status: u16,
    headers: Bytes,
    count: u32,
}

impl Response {
    /// Read a head; the error says what is wrong with it.
    pub fn unpack(mut head: Bytes) -> Result<Self, &'static str> {
        if head.len() < 8 {
            return Err("a response head of less than 8 bytes");
        }
        if head.get_u8() != VERSION {
            return Err("a response head of another version than 1");
        }
        head.advance(1);
        let (status, count) = (head.get_u16_le(), head.get_u32_le());
        if !is_whole(&head, count) {
            return Err("a response head that is cut off");
        }
        Ok(Self { status, headers: head, count })
    }

    /// The number of header fields.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The header fields, as slices that share the head's bytes.
    pub fn into_headers(self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let mut rest = self.headers;
        (0..self.count).map_while(move |_| Some((take(&mut rest)?, take(&mut rest)?)))
    }
}

/// Whether so many names and values are there.
fn is_whole(mut rest: &[u8], count: u32) -> bool {
    (0..u64::from(count) * 2).all(|_| {
        let Ok(length) = rest.try_get_u32_le() else { return false };
        rest.split_off(..length as usize).is_some()
    })
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32_le().ok()? as usize;
    (rest.len() >= length).then(|| rest.split_to(length))
}

impl Lease {
    /// Ask the packed handler.
    pub async fn handle_packed(
        &mut self,
        head: Vec<u8>,
        body: Bytes,
    ) -> Result<(Response, Bytes), CallError> {
        let Some(Exports::Packed(handle)) = &self.exports().http else {
            return Err(self.lacks("packed-handler"));
        };
        let handle = *handle;
        let ((head, body),) = self.call(handle, (head, body)).await?;
        let response = Response::unpack(head).map_err(|what| self.fault(what.to_owned()))?;
        Ok((response, body))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut out = vec![VERSION, 0];
        out.put_u16_le(status);
        out.put_u32_le(headers.len() as u32);
        for (name, value) in headers {
            put(&mut out, name.as_bytes());
            put(&mut out, value.as_bytes());
        }
        out
    }

    #[test]
    fn a_response_head_is_read_as_it_was_packed() {
        let response = Response::unpack(head(404, &[("a", "1"), ("b", "")]).into()).unwrap();
        assert_eq!(response.status, 404);
        let headers: Vec<_> = response.into_headers().collect();
        assert_eq!(headers, [("a".into(), "1".into()), ("b".into(), "".into())]);
    }

    #[test]
    fn a_head_that_is_cut_off_is_refused() {
        let whole = head(200, &[("name", "value")]);
        for length in 0..whole.len() {
            assert!(Response::unpack(whole[..length].to_vec().into()).is_err(), "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Response::unpack(bytes.into());
        }
    }
}
