//! The two forms of a hot contract mean the same: two guests with one behaviour, told the same.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::support::{Answer, Host};

const FORMS: [&str; 2] = ["packed", "plain"];

async fn host() -> Host {
    Host::start(&["mirror-packed", "mirror-plain"]).await
}

async fn ask(host: &Host, form: &str, rest: &str, method: &str, body: &'static [u8]) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(host.url(&format!("/mirror-{form}/{rest}")))
        .header("x-test-one", "1")
        .header("x-test-two", "a, b")
        .header("x-test-two", "ü")
        .header("x-forwarded-for", "203.0.113.9");
    host.request(request.body(Full::new(Bytes::from_static(body))).unwrap()).await
}

#[tokio::test]
async fn both_forms_see_the_same_request_and_answer_the_same() {
    let host = host().await;
    for (rest, method, body) in [
        ("a/b", "GET", &b""[..]),
        ("a/b%20c/d?x=1&y=%00", "GET", b""),
        ("%C3%BC/?", "DELETE", b""),
        ("a/b", "PUT", b"\x00\xff"),
        ("a/b?q", "POST", b"one\ntwo"),
    ] {
        let packed = ask(&host, FORMS[0], rest, method, body).await;
        let plain = ask(&host, FORMS[1], rest, method, body).await;
        let seen = |answer: &Answer| {
            let header = |name: &str| answer.headers.get(name).cloned();
            (answer.status, header("content-type"), header("x-test-answer"), answer.text())
        };
        assert_eq!(seen(&packed), seen(&plain), "{method} {rest}");
        assert_eq!(packed.status, 201);
        assert!(packed.text().contains("client 203.0.113.9"), "{}", packed.text());
    }
}

#[tokio::test]
async fn what_is_sent_ahead_is_in_order_and_durable_before_the_answer() {
    for form in FORMS {
        let host = host().await;
        let answer = ask(&host, form, "a/b?ahead", "POST", b"1\n2\n3\n4").await;
        assert!(answer.text().ends_with("sent Ok(0)\n"), "{}", answer.text());
        let source = host.admin("/api/topics/source/records").await.text();
        let values: Vec<_> = source.lines().map(value).collect();
        assert_eq!(values, ["1", "2", "3", "4"], "{source}");
    }
}

fn value(line: &str) -> String {
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    record["value"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_forms_handle_send_and_refuse_the_same_messages() {
    let host = host().await;
    assert_eq!(ask(&host, "plain", "a/b", "POST", b"1\n2\npoison\n3").await.status, 201);
    assert_eq!(ask(&host, "packed", "a/b", "POST", b"4\npoison\n5").await.status, 201);
    let [packed, plain] = [host.records("mirrored-packed", 5), host.records("mirrored-plain", 5)];
    let (packed, plain) = tokio::join!(packed, plain);
    assert_eq!(packed, plain);
    let [packed, plain] = [host.records("dead-packed", 2), host.records("dead-plain", 2)];
    let (packed, plain) = tokio::join!(packed, plain);
    let values = |records: &[serde_json::Value]| -> Vec<_> {
        records.iter().map(|record| record["value"].clone()).collect()
    };
    assert_eq!(values(&packed), ["poison", "poison"]);
    assert_eq!(values(&packed), values(&plain));
}
