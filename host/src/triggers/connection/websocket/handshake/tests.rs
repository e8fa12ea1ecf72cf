#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// The example of RFC 6455, section 1.2, without its protocols.
const FIELDS: [(&str, &str); 5] = [
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn accepted(headers: &HeaderMap) -> Result<Handshake, Refusal> {
    accept(&Method::GET, Version::HTTP_11, headers)
}

/// The example with further fields.
fn with(more: &[(&str, &str)]) -> Result<Handshake, Refusal> {
    accepted(&headers(&[&FIELDS, more].concat()))
}

/// The example with all fields of a name replaced.
fn replaced(name: &str, values: &[&str]) -> Result<Handshake, Refusal> {
    let mut fields = FIELDS.to_vec();
    fields.retain(|(other, _)| *other != name);
    fields.extend(values.iter().map(|value| (name, *value)));
    accepted(&headers(&fields))
}

/// What is answered to offers of extensions, one line each.
fn answer(offers: &[&str]) -> Option<String> {
    let fields: Vec<_> = offers.iter().map(|offer| ("sec-websocket-extensions", *offer)).collect();
    let deflate = with(&fields).unwrap().deflate;
    deflate.map(|negotiated| negotiated.answer.to_str().unwrap().to_owned())
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let protocols = ("sec-websocket-protocol", "chat, superchat");
    let handshake = with(&[protocols]).unwrap();
    assert_eq!(handshake.accept_key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(handshake.protocols, ["chat", "superchat"]);
    assert_eq!(handshake.deflate, None);
}

#[test]
fn lists_are_read_over_all_lines_in_any_case() {
    for upgrade in [&["WebSocket"][..], &["h2c, websocket"], &["h2c", ",, WEBSOCKET\t,"]] {
        assert!(replaced("upgrade", upgrade).is_ok(), "{upgrade:?}");
    }
    for connection in [&["keep-alive, upgrade"][..], &["keep-alive", "UPGRADE"]] {
        assert!(replaced("connection", connection).is_ok(), "{connection:?}");
    }
}

#[test]
fn a_request_wants_websocket_if_a_token_says_so() {
    let wants = |value| wanted(&headers(&[("upgrade", value)]));
    assert!(wants("websocket") && wants("h2c, WebSocket"));
    assert!(!wants("websockets") && !wants("h2c") && !wants("web socket"));
    assert!(!wanted(&HeaderMap::new()));
}

#[test]
fn another_method_or_version_is_refused() {
    let headers = headers(&FIELDS);
    let with = |method, version| accept(&method, version, &headers).unwrap_err();
    assert_eq!(with(Method::POST, Version::HTTP_11), Refusal::Method);
    assert_eq!(with(Method::GET, Version::HTTP_10), Refusal::Http);
    assert_eq!(with(Method::GET, Version::HTTP_2), Refusal::Http);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (name, values, refusal) in [
        ("upgrade", &[][..], Refusal::Upgrade),
        ("upgrade", &["websockets"], Refusal::Upgrade),
        ("connection", &[], Refusal::Connection),
        ("connection", &["keep-alive"], Refusal::Connection),
        ("sec-websocket-version", &[], Refusal::WebsocketVersion),
        ("sec-websocket-version", &["8"], Refusal::WebsocketVersion),
        ("sec-websocket-version", &["013"], Refusal::WebsocketVersion),
        ("sec-websocket-version", &["13", "13"], Refusal::WebsocketVersion),
        ("sec-websocket-key", &[], Refusal::Key),
        (
            "sec-websocket-key",
            &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="],
            Refusal::Key,
        ),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25j"], Refusal::Key),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ"], Refusal::Key),
        ("sec-websocket-key", &["the sample nonce"], Refusal::Key),
    ] {
        assert_eq!(replaced(name, values), Err(refusal), "{name}: {values:?}");
    }
}

#[test]
fn a_refusal_tells_its_status_and_what_to_send() {
    let answer = |refusal: Refusal| {
        let mut headers = HeaderMap::new();
        refusal.put_fields(&mut headers);
        (refusal.status().as_u16(), headers)
    };
    assert_eq!(answer(Refusal::Method), (405, headers(&[("allow", "GET")])));
    let upgrade =
        [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13")];
    for refusal in [Refusal::Upgrade, Refusal::WebsocketVersion] {
        assert_eq!(answer(refusal), (426, headers(&upgrade)));
    }
    for refusal in
        [Refusal::Http, Refusal::Connection, Refusal::Key, Refusal::Protocols, Refusal::Extensions]
    {
        assert_eq!(answer(refusal), (400, HeaderMap::new()), "{refusal}");
    }
}

#[test]
fn protocols_are_tokens_that_differ() {
    let lines = |lines: &[&str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("sec-websocket-protocol", *line)).collect();
        with(&fields).map(|handshake| handshake.protocols)
    };
    assert_eq!(lines(&["b , a", "c"]).unwrap(), ["b", "a", "c"]);
    assert_eq!(
        lines(&["graphql-transport-ws, v2.chat"]).unwrap(),
        ["graphql-transport-ws", "v2.chat"]
    );
    for broken in [&["a b"][..], &["a, a"], &["a", "a"], &["a/b"], &["\"a\""], &["é"], &["a=b"]] {
        assert_eq!(lines(broken), Err(Refusal::Protocols), "{broken:?}");
    }
}

#[test]
fn compression_is_answered_without_a_window_between_messages() {
    for offer in [
        "permessage-deflate",
        "Permessage-Deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate;client_max_window_bits=\"15\"",
        "permessage-deflate ; client_max_window_bits = 10",
        "permessage-deflate; Server_No_Context_Takeover",
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "x-webkit-deflate-frame, permessage-deflate",
        "mux; max-channels=\"4\"; flow-control, permessage-deflate; client_max_window_bits",
    ] {
        assert_eq!(answer(&[offer]).as_deref(), Some(PLAIN), "{offer}");
    }
    assert_eq!(answer(&["mux", "permessage-deflate"]).as_deref(), Some(PLAIN));
}

#[test]
fn the_largest_window_of_the_server_is_confirmed() {
    let full = format!("{PLAIN}; server_max_window_bits=15");
    for offer in [
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; client_max_window_bits; server_max_window_bits=\"15\"",
    ] {
        assert_eq!(answer(&[offer]), Some(full.clone()), "{offer}");
    }
}

#[test]
fn an_offer_that_cannot_be_kept_is_declined() {
    for parameters in [
        "server_max_window_bits=14",
        "server_max_window_bits=8",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "server_max_window_bits=+15",
        "server_max_window_bits",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=09",
        "client_max_window_bits=+9",
        "client_max_window_bits=271",
        "client_max_window_bits=x",
        "client_max_window_bits=\"1\\0\"",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=9; Client_Max_Window_Bits=9",
        "server_no_context_takeover=1",
        "client_no_context_takeover=\"true\"",
        "server_no_context_takeover; server_no_context_takeover",
        "no_such_parameter",
        "no_such_parameter=1; client_max_window_bits",
    ] {
        let declined = format!("permessage-deflate; {parameters}");
        assert_eq!(answer(&[&declined]), None, "{declined}");
        let next = format!("{declined}, permessage-deflate");
        assert_eq!(answer(&[&next]).as_deref(), Some(PLAIN), "{next}");
    }
}

#[test]
fn the_first_offer_that_can_be_kept_is_taken() {
    let first = "permessage-deflate; server_max_window_bits=10, \
                 permessage-deflate; server_max_window_bits=15, permessage-deflate";
    assert_eq!(answer(&[first]), Some(format!("{PLAIN}; server_max_window_bits=15")));
    assert_eq!(answer(&["permessage-deflate", first]).as_deref(), Some(PLAIN));
}

#[test]
fn extensions_against_the_grammar_are_refused() {
    for broken in [
        ";",
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=\"\"",
        "permessage-deflate; client_max_window_bits=\"9",
        "permessage-deflate; client_max_window_bits=9\"",
        "permessage-deflate; client_max_window_bits=\"",
        "permessage-deflate; =9",
        "permessage-deflate; a b",
        "permessage deflate",
        "mux; name=\"a,b\"",
        "é",
        // What comes behind an offer that was taken counts as well.
        "permessage-deflate, ;",
    ] {
        let refused = with(&[("sec-websocket-extensions", broken)]);
        assert_eq!(refused, Err(Refusal::Extensions), "{broken}");
    }
}

/// Values near to those that are right.
fn value() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "permessage-deflate",
        "client_max_window_bits",
        "=",
        ";",
        ",",
        "\"",
        "\\",
        "15",
        "13",
        " ",
        "websocket",
        "upgrade",
        "a",
        "é",
        "dGhlIHNhbXBsZSBub25jZQ==",
    ]);
    prop::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_fields_are_accepted_or_refused(
        values in prop::collection::vec((0usize..FIELDS.len(), value()), 0..4),
        protocols in value(),
        extensions in value(),
    ) {
        let more = [
            ("sec-websocket-protocol", protocols.as_str()),
            ("sec-websocket-extensions", extensions.as_str()),
        ];
        let mut fields = [&FIELDS[..], &more].concat();
        for (at, value) in &values {
            fields[*at].1 = value;
        }
        let headers = headers(&fields);
        let asks = wanted(&headers);
        if let Ok(handshake) = accepted(&headers) {
            prop_assert!(asks && handshake.accept_key.len() == 28);
            prop_assert!(handshake.protocols.iter().all(|name| is_token(name)));
        }
    }
}
