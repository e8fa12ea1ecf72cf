#![allow(clippy::unwrap_used)]
use trellis_sdk::http::IntoResponse;

use super::*;

/// What a request is answered with: the status and the head as a text. `host` is `view.example`.
fn ask(
    users: Option<&str>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String, String) {
    let users = users.map(|users| Users::written(users).unwrap());
    let settings = Settings { users, session_s: 60, origins: vec![] };
    let put = |head: &mut Vec<u8>, text: &str| {
        head.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
        head.extend_from_slice(text.as_bytes());
    };
    // Version 1, https, no query, no params.
    let mut head = vec![1, 1, 0, 0];
    head.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_le_bytes());
    head.extend_from_slice(&5_000u64.to_le_bytes());
    for text in [method, "view.example", path, "", "192.0.2.1", "id"] {
        put(&mut head, text);
    }
    for (name, value) in headers {
        put(&mut head, name);
        put(&mut head, value);
    }
    let request = Request::parse(&head, b"").unwrap();
    let response = route(&settings, &request).into_response();
    let status = response.status();
    let (head, body) = response.into_packed();
    (status, String::from_utf8_lossy(&head).into_owned(), String::from_utf8(body).unwrap())
}

fn cookie_of(users: &str, until: u64) -> String {
    let users = Users::written(users).unwrap();
    format!("{COOKIE}={}", Session { user: users.named("ada").unwrap(), until }.value())
}

const USERS: &str = "ada:secret";

#[test]
fn without_users_the_page_is_there_and_nobody_logs_in() {
    let (status, _, body) = ask(None, "GET", "/kafidx", &[]);
    assert!(status == 200 && body.contains("id=\"rows\""));
    assert_eq!(ask(None, "GET", "/kafidx/session", &[]).0, 204);
    assert_eq!(ask(None, "POST", "/kafidx/login", &[]).0, 303);
}

#[test]
fn with_users_the_page_is_the_form_until_there_is_a_session() {
    for (cookie, good) in [
        (cookie_of(USERS, 6), true),
        (cookie_of(USERS, 5), false),
        (cookie_of("ada:other", 6), false),
        (String::new(), false),
    ] {
        let headers = [("cookie", &*cookie)];
        let (status, _, body) = ask(Some(USERS), "GET", "/kafidx/", &headers);
        assert_eq!((status, body.contains("id=\"rows\"")), (200, good));
        assert_eq!(body.contains("type=\"password\""), !good);
        let session = ask(Some(USERS), "GET", "/kafidx/session", &headers).0;
        assert_eq!(session, if good { 204 } else { 401 });
    }
}

#[test]
fn logging_out_takes_the_cookie_away() {
    let (status, head, _) = ask(Some(USERS), "POST", "/kafidx/logout", &[]);
    assert_eq!(status, 303);
    let cookie = "kafidx=; Path=/kafidx; Max-Age=0; HttpOnly; SameSite=Strict; Secure";
    assert!(head.contains(cookie), "{head}");
    assert_eq!(ask(Some(USERS), "GET", "/kafidx/logout", &[]).0, 405);
}

#[test]
fn a_form_of_another_origin_is_refused() {
    for path in ["/kafidx/login", "/kafidx/logout"] {
        for origin in ["https://evil.example", "null", "https://view.example:8443"] {
            assert_eq!(ask(Some(USERS), "POST", path, &[("origin", origin)]).0, 403, "{origin}");
        }
    }
    let own = [("origin", "null"), ("sec-fetch-site", "same-origin")];
    assert_eq!(ask(Some(USERS), "POST", "/kafidx/logout", &own).0, 303);
}
