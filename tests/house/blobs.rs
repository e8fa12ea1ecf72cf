//! Blobs: kept whole or not at all, each plugin's own, and sent by the host in any part.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::Method;
use http_body_util::Full;

use crate::support::{Answer, Host, component};

async fn ask(host: &Host, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
    with(host, method, path, &[], body).await
}

/// A request with these fields.
async fn with(
    host: &Host,
    method: Method,
    path: &str,
    fields: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let mut request = http::Request::builder().method(method).uri(host.url(path));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    host.request(request.body(Full::new(body.into())).unwrap()).await
}

async fn get(host: &Host, path: &str, fields: &[(&str, &str)]) -> Answer {
    with(host, Method::GET, path, fields, "").await
}

async fn put(host: &Host, path: &str, body: impl Into<Bytes>) -> Answer {
    with(host, Method::PUT, path, &[("content-type", "text/plain")], body).await
}

fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Bytes in which no two places look alike.
fn noise(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[tokio::test]
async fn a_blob_is_put_appended_listed_copied_read_and_deleted() {
    let mut host = Host::start(&["shelf"]).await;
    let one = "/shelf/books/a/one";
    assert_eq!(get(&host, one, &[]).await.status, 404);
    assert_eq!(get(&host, &format!("{one}?what=get"), &[]).await.text(), "nothing");
    let told = put(&host, one, "begun").await;
    assert!(told.text().starts_with("5 ") && told.text().ends_with(" text/plain"), "{told:?}");
    let told = ask(&host, Method::POST, one, ", ended").await;
    assert!(told.text().starts_with("12 "), "{told:?}");
    let whole = get(&host, &format!("{one}?what=get"), &[]).await;
    assert_eq!((&*whole.text(), field(&whole, "content-type")), ("begun, ended", "text/plain"));
    let part = get(&host, &format!("{one}?what=read&offset=7&length=3"), &[]).await;
    assert_eq!(part.text(), "end");
    for key in ["a", "a/two", "b"] {
        let copied = put(&host, &format!("/shelf/books/{key}?copy=a/one"), "").await;
        assert_eq!(copied.status, 200, "{copied:?}");
    }
    host.kill();
    host.run().await;
    let list = async |query: &str| get(&host, &format!("/shelf/books{query}"), &[]).await.text();
    assert_eq!(list("").await, "a\na/one\na/two\nb");
    assert_eq!(list("?prefix=a/").await, "a/one\na/two");
    assert_eq!(list("?after=a&most=2").await, "a/one\na/two");
    assert_eq!(get(&host, "/shelf/books/b", &[]).await.text(), "begun, ended");
    assert_eq!(ask(&host, Method::DELETE, one, "").await.status, 204);
    assert_eq!(list("").await, "a\na/two\nb");
    assert_eq!(get(&host, one, &[]).await.status, 404);
    let metrics = host.admin("/metrics").await.text();
    let line = format!("trellis_blobs_bytes{{plugin=\"shelf\"}} {}", 3 * (4096 + 12));
    assert!(metrics.contains(&line), "{metrics}");
}

#[tokio::test]
async fn the_host_sends_a_blob_whole_in_parts_or_not_at_all() {
    let host = Host::start(&["shelf"]).await;
    let path = "/shelf/books/noise";
    let body = noise(3_000_000);
    assert_eq!(put(&host, path, body.clone()).await.status, 200);

    let whole = get(&host, path, &[]).await;
    assert_eq!((whole.status, &whole.body), (200, &body));
    assert_eq!(field(&whole, "content-length"), "3000000");
    assert_eq!(field(&whole, "content-type"), "text/plain");
    assert_eq!(field(&whole, "accept-ranges"), "bytes");
    assert!(!whole.headers.contains_key("x-trellis-blob"), "{whole:?}");
    let (tag, modified) = (field(&whole, "etag"), field(&whole, "last-modified"));
    assert!(tag.starts_with('"') && modified.ends_with(" GMT"), "{tag} {modified}");

    let head = with(&host, Method::HEAD, path, &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!((field(&head, "content-length"), field(&head, "etag")), ("3000000", tag));

    for (range, from, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-2999999", 100, 3_000_000),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=-1000", 2_999_000, 3_000_000),
    ] {
        let part = get(&host, path, &[("range", range), ("if-range", tag)]).await;
        assert_eq!((part.status, &part.body[..]), (206, &body[from..end]), "{range}");
        let said = format!("bytes {from}-{}/3000000", end - 1);
        assert_eq!(field(&part, "content-range"), said);
        assert_eq!(field(&part, "content-length"), (end - from).to_string());
    }
    let outside = get(&host, path, &[("range", "bytes=3000000-")]).await;
    assert_eq!((outside.status, outside.body.len()), (416, 0));
    assert_eq!(field(&outside, "content-range"), "bytes */3000000");
    let other = get(&host, path, &[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, other.body.len()), (200, 3_000_000));

    for known in [("if-none-match", tag), ("if-modified-since", modified)] {
        let unchanged = get(&host, path, &[known]).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{known:?}");
        assert_eq!(field(&unchanged, "etag"), tag);
    }
    put(&host, path, "short").await;
    let changed = get(&host, path, &[("if-none-match", tag)]).await;
    assert_eq!((changed.status, &*changed.text()), (200, "short"));

    let named = get(&host, &format!("{path}?what=named"), &[]).await;
    let fields = ["content-type", "etag", "cache-control"].map(|name| field(&named, name));
    assert_eq!(fields, ["text/x-named", "\"named\"", "no-cache"]);
    let gone = get(&host, &format!("{path}?what=gone"), &[("range", "bytes=0-0")]).await;
    assert_eq!((gone.status, &*gone.text()), (410, "short"));
    assert_eq!(get(&host, &format!("{path}?what=both"), &[]).await.status, 500);
    let empty = put(&host, "/shelf/books/empty", "").await;
    assert_eq!(empty.status, 200);
    let empty = get(&host, "/shelf/books/empty", &[]).await;
    assert_eq!((empty.status, field(&empty, "content-length")), (200, "0"));
}

#[tokio::test]
async fn a_blob_that_changes_while_it_is_sent_is_sent_as_it_was() {
    let host = Host::start(&["shelf"]).await;
    let path = "/shelf/books/noise";
    let body = noise(12 << 20);
    assert_eq!(put(&host, path, body.clone()).await.status, 200);
    let answers = (0..8).map(async |n: u64| {
        tokio::time::sleep(Duration::from_millis(n)).await;
        get(&host, path, &[]).await
    });
    let changes = async {
        ask(&host, Method::POST, path, noise(1 << 20)).await;
        put(&host, path, body.clone()).await;
        ask(&host, Method::DELETE, path, "").await
    };
    let (answers, _) = tokio::join!(join_all(answers), changes);
    for answer in answers.iter().filter(|answer| answer.status != 404) {
        assert_eq!(answer.status, 200);
        assert_eq!(field(answer, "content-length"), answer.body.len().to_string());
        assert_eq!(answer.body[..12 << 20], body);
    }
}

#[tokio::test]
async fn two_plugins_of_one_component_see_nothing_of_each_other() {
    let host = Host::start(&["shelf"]).await;
    host.install(
        "other.toml",
        "name = \"other\"\n[http]\nroutes = [\"/other/{*path}\"]\n\
         [needs.blobs]\ncontainers = [\"books\"]\n",
    );
    host.install("other.wasm", fs::read(component("shelf")).unwrap());
    host.until("/other/books", |answer| answer.status == 200).await;
    put(&host, "/shelf/books/secret", "mine").await;
    put(&host, "/shelf/papers/secret", "mine").await;
    for path in ["books/secret", "books?key=../../shelf/books/secret"] {
        for what in ["", "get", "head"] {
            let separator = if path.contains('?') { '&' } else { '?' };
            let what = if what.is_empty() { "" } else { &format!("{separator}what={what}") };
            let answer = get(&host, &format!("/other/{path}{what}"), &[]).await;
            assert!(answer.status >= 400, "{path}{what}: {answer:?}");
            assert!(!answer.text().contains("mine"), "{path}{what}: {answer:?}");
        }
    }
    assert_eq!(get(&host, "/other/books", &[]).await.text(), "");
    // A container that its manifest does not name, by a function and as an answer.
    let strange = get(&host, "/other/papers/secret?what=get", &[]).await;
    assert_eq!(strange.status, 400);
    assert!(strange.text().contains("`papers` is not in"), "{}", strange.text());
    assert_eq!(get(&host, "/other/papers/secret", &[]).await.status, 500);
    put(&host, "/other/books/secret", "theirs").await;
    ask(&host, Method::DELETE, "/other/books/secret", "").await;
    assert_eq!(get(&host, "/shelf/books/secret", &[]).await.text(), "mine");
}

/// A path that names a key in its query, whatever the key is.
fn named(key: &str) -> String {
    let encoded: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("/shelf/books?key={encoded}")
}

#[tokio::test]
async fn hostile_keys_are_refused_and_reach_no_file() {
    let host = Host::start(&["shelf"]).await;
    let long = ["a".repeat(251), "a/".repeat(600)];
    let hostile =
        ["..", ".", "../x", "a/../../x", "a//b", "/etc/passwd", "a/", "a\0b", "a\r\nb: c"];
    for key in hostile.into_iter().chain(long.iter().map(String::as_str)) {
        let path = named(key);
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            let answer = ask(&host, method, &path, "x").await;
            assert_eq!(answer.status, 400, "{key}: {}", answer.text());
            assert!(answer.text().contains("key"), "{key}: {}", answer.text());
        }
        assert!(get(&host, &path, &[]).await.status >= 400, "{key}");
    }
    let long = "l".repeat(250);
    for key in ["...", "%2e%2e%2fx", "a b", "~", "#", "ü/🎵", " ", "..\\x", &long, "x.b", "x.d/y"]
    {
        assert_eq!(put(&host, &named(key), key.to_owned()).await.status, 200, "{key}");
        assert_eq!(get(&host, &named(key), &[]).await.text(), key);
    }
    let mut names: Vec<_> = fs::read_dir(host.data().join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".staging", "shelf"]);
}

#[tokio::test]
async fn the_bound_is_looked_at_before_anything_is_written() {
    let host = Host::start(&["shelf"]).await;
    let megabytes = |n: usize| Bytes::from(vec![b'x'; n << 20]);
    for n in 0..5 {
        let kept = put(&host, &format!("/shelf/books/{n}"), megabytes(12)).await;
        assert_eq!(kept.status, 200, "{}", kept.text());
    }
    let refused = put(&host, "/shelf/books/5", megabytes(12)).await;
    assert_eq!(refused.status, 507, "{}", refused.text());
    assert!(refused.text().contains("that the plugin may have"), "{}", refused.text());
    let refused = ask(&host, Method::POST, "/shelf/books/4", megabytes(5)).await;
    assert_eq!(refused.status, 507);
    assert_eq!(field(&get(&host, "/shelf/books/4", &[]).await, "content-length"), "12582912");
    let refused = put(&host, "/shelf/books/large", megabytes(17)).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    ask(&host, Method::DELETE, "/shelf/books/0", "").await;
    assert_eq!(put(&host, "/shelf/books/5", megabytes(12)).await.status, 200);
    // More than one call may hand over, put together of several.
    ask(&host, Method::DELETE, "/shelf/books/1", "").await;
    ask(&host, Method::DELETE, "/shelf/books/2", "").await;
    for _ in 0..2 {
        let added = ask(&host, Method::POST, "/shelf/books/long", megabytes(12)).await;
        assert_eq!(added.status, 200, "{}", added.text());
    }
    assert_eq!(get(&host, "/shelf/books/long?what=get", &[]).await.status, 413);
    assert_eq!(get(&host, "/shelf/books/long", &[]).await.body, megabytes(24));
}

#[tokio::test]
async fn what_the_operator_does_not_allow_is_refused_at_load() {
    let cases = [
        ("[grants.plugins.shelf]\n", "needs `blobs` without a grant"),
        (
            "[grants.plugins.shelf]\nblobs = { containers = [\"books\"], max-bytes = \"32MiB\" }\n",
            "papers",
        ),
        ("[grants]\ndefault = \"needs\"\n[blobs]\nmax-bytes = \"32MiB\"\n", "allows 32MiB"),
    ];
    for (settings, why) in cases {
        let host = Host::start_with(&["shelf"], settings).await;
        let status = host.until_plugin("shelf", |status| status["state"] == "failed").await;
        let reason = status["reason"].as_str().unwrap();
        assert!(reason.contains(why), "{reason}");
    }
}

/// Each body says in each of its bytes whose it is, and has the length that this one has.
fn marked(n: u64) -> Bytes {
    let mark = (n % 251) as u8;
    vec![mark; 50_000 + usize::from(mark) * 1000].into()
}

fn is_whole(body: &[u8]) -> bool {
    let Some(mark) = body.first() else { return false };
    body.len() == 50_000 + usize::from(*mark) * 1000 && body.iter().all(|byte| byte == mark)
}

#[tokio::test]
async fn a_kill_in_the_middle_of_puts_leaves_no_torn_blob_and_loses_none() {
    let mut host = Host::start(&["shelf"]).await;
    let count = AtomicU64::new(0);
    for round in 0..3 {
        // What the host said that it had kept, for each of eight keys.
        let writers = (0..8).map(async |key: u64| {
            let mut kept = None;
            loop {
                let n = count.fetch_add(1, Ordering::Relaxed);
                let url = host.url(&format!("/shelf/books/deep/er/{key}"));
                let request = http::Request::put(url).body(Full::new(marked(n))).unwrap();
                match host.try_request(request).await {
                    Ok(answer) if answer.status == 200 => kept = Some(n),
                    Ok(answer) => panic!("{answer:?}"),
                    Err(_) => return (key, kept, n),
                }
            }
        });
        let strike = async {
            tokio::time::sleep(Duration::from_millis(400 + 150 * round)).await;
            host.strike();
        };
        let (ends, ()) = tokio::join!(join_all(writers), strike);
        host.kill();
        host.run().await;
        for (key, kept, lost) in ends {
            let answer = get(&host, &format!("/shelf/books/deep/er/{key}"), &[]).await;
            let kept = kept.expect("a writer got nothing through");
            assert_eq!(answer.status, 200, "{key}");
            assert!(is_whole(&answer.body), "{key}: {} bytes", answer.body.len());
            // The last one that was kept, or the one that was under way.
            let found = answer.body[0];
            assert!([marked(kept)[0], marked(lost)[0]].contains(&found), "{key}");
        }
        let staged = fs::read_dir(host.data().join("blobs/.staging")).unwrap().count();
        assert_eq!(staged, 0, "what was under way is cleared");
    }
}
