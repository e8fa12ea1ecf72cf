#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::wire::put_bytes;

/// A head as the host writes it.
fn head(query: Option<&str>, params: &[(&str, &str)], headers: &[(&str, &[u8])]) -> Vec<u8> {
    let mut head = vec![1, 1 | u8::from(query.is_some()) << 1];
    head.extend_from_slice(&u16::try_from(params.len()).unwrap().to_le_bytes());
    head.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_le_bytes());
    head.extend_from_slice(&1_700_000_000_123u64.to_le_bytes());
    for field in ["POST", "example.com", "/t/a%20b", query.unwrap_or_default(), "::1", "id7"] {
        put_bytes(&mut head, field.as_bytes());
    }
    for (name, value) in params {
        put_bytes(&mut head, name.as_bytes());
        put_bytes(&mut head, value.as_bytes());
    }
    for (name, value) in headers {
        put_bytes(&mut head, name.as_bytes());
        put_bytes(&mut head, value);
    }
    head
}

/// A packed answer, taken apart.
fn unpack(head: &[u8]) -> (u16, Vec<(String, Vec<u8>)>) {
    let mut reader = crate::wire::Reader::new(head);
    reader.version().unwrap();
    assert_eq!(reader.u8("reserved"), Ok(0));
    let status = reader.u16("status").unwrap();
    let count = reader.u32("count").unwrap();
    let headers = (0..count)
        .map(|_| (reader.str("name").unwrap().to_owned(), reader.bytes("value").unwrap().to_vec()))
        .collect();
    assert_eq!(reader.left(), 0);
    (status, headers)
}

#[test]
fn every_part_of_a_request_is_found() {
    let head = head(
        Some("a=1&b=x%20y&a=2"),
        &[("path", "a b"), ("id", "7")],
        &[("accept", b"*/*"), ("x-raw", b"\xff"), ("accept", b"text/html")],
    );
    let request = Request::parse(&head, b"k=v&k=w").unwrap();
    assert_eq!(
        (request.method(), request.scheme(), request.host()),
        ("POST", "https", "example.com")
    );
    assert_eq!((request.path(), request.query()), ("/t/a%20b", Some("a=1&b=x%20y&a=2")));
    assert_eq!(
        (request.client_ip(), request.id(), request.time_ms()),
        ("::1", "id7", 1_700_000_000_123)
    );
    assert_eq!(
        (request.param("path"), request.param("id"), request.param("x")),
        (Some("a b"), Some("7"), None)
    );
    assert_eq!(request.header("accept"), Some("*/*"));
    assert_eq!(
        (request.header("x-raw"), request.header_bytes("x-raw")),
        (None, Some(&b"\xff"[..]))
    );
    assert_eq!(request.headers().count(), 3);
    assert_eq!(request.query_value("b").as_deref(), Some("x y"));
    assert_eq!(request.form().count(), 2);
}

#[test]
fn an_empty_query_is_not_a_missing_one() {
    let (with, without) = (head(Some(""), &[], &[]), head(None, &[], &[]));
    assert_eq!(Request::parse(&with, b"").unwrap().query(), Some(""));
    assert_eq!(Request::parse(&without, b"").unwrap().query(), None);
}

#[test]
fn an_answer_is_packed_as_the_layout_says() {
    let response =
        Response::text("hi").with_status(418).with_header("x-a", "b").with_header("x-a", [255]);
    let (head, body) = response.into_packed();
    let (status, headers) = unpack(&head);
    assert_eq!((status, &body[..]), (418, &b"hi"[..]));
    let wanted: [(&str, &[u8]); 3] =
        [("content-type", b"text/plain; charset=utf-8"), ("x-a", b"b"), ("x-a", &[255])];
    assert_eq!(headers, wanted.map(|(name, value)| (name.to_owned(), value.to_vec())));
}

#[test]
fn an_error_is_a_500_that_says_nothing_unless_it_is_meant_for_the_client() {
    let head = head(None, &[], &[]);
    let failed = |_: Request<'_>| -> Result { Err(std::io::Error::other("the secret reason"))? };
    let (answer, body) = serve(&head, b"", failed);
    assert_eq!((unpack(&answer).0, &body[..]), (500, &b"internal error"[..]));
    let refused = |_: Request<'_>| -> Result { Err(Error::status(422, "no such colour")) };
    let (answer, body) = serve(&head, b"", refused);
    assert_eq!((unpack(&answer).0, &body[..]), (422, &b"no such colour"[..]));
}

#[test]
fn a_body_that_does_not_fit_is_a_400() {
    let head = head(None, &[], &[]);
    let parse = |request: Request<'_>| Response::json(&request.json::<Vec<u8>>()?);
    assert_eq!(unpack(&serve(&head, b"[1,2]", parse).0).0, 200);
    assert_eq!(unpack(&serve(&head, b"[1,", parse).0).0, 400);
}

#[test]
fn another_version_is_refused() {
    let mut head = head(None, &[], &[]);
    head[0] = 2;
    let error = Request::parse(&head, b"").err().unwrap();
    assert_eq!(error.to_string(), "the packed bytes do not follow their layout at the version");
}

proptest! {
    #[test]
    fn a_head_that_ends_early_is_refused_or_ends_its_headers_early(cut in 0usize..200, flip: usize, byte: u8) {
        let mut head = head(Some("a=1"), &[("path", "x")], &[("accept", b"*/*"), ("b", b"c")]);
        let (cut, flip) = (cut % head.len(), flip % head.len());
        for head in [&head.clone()[..cut], { head[flip] = byte; &head[..] }] {
            if let Ok(request) = Request::parse(head, b"") {
                prop_assert!(request.params().count() <= head.len());
                prop_assert!(request.headers().count() <= head.len());
                let _ = (request.param("path"), request.header("b"), request.query_pairs().count());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        let answer = serve(&bytes, &bytes, |request: Request<'_>| {
            Response::text(format!("{:?}", request.headers().collect::<Vec<_>>()))
        });
        prop_assert!(matches!(unpack(&answer.0).0, 200 | 500));
    }
}
