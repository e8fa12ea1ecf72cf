//! What a plugin does to itself stays with it.

use std::time::Instant;

use crate::support::Host;

#[tokio::test]
async fn each_fault_has_its_answer_and_the_next_request_is_served() {
    let host = Host::start(&["hello"]).await;
    for (path, status) in [
        ("/hello/panic", 500),
        ("/hello/loop", 504),
        ("/hello/allocate", 500),
        ("/hello/recurse", 500),
        ("/hello/large", 500),
        ("/hello/status", 500),
    ] {
        let answer = host.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}\n{}", answer.text(), host.log());
        assert!(answer.headers.contains_key("x-request-id"), "{path}");
        assert_eq!(host.get("/hello/").await.text(), "hello", "after {path}");
    }
}

#[tokio::test]
async fn loops_of_one_plugin_leave_the_others_answering() {
    let host = Host::start(&["hello", "keeper"]).await;
    let loops = futures_util::future::join_all((0..8).map(|_| host.get("/hello/loop")));
    let innocent = async {
        let begun = Instant::now();
        let mut answered = 0;
        while begun.elapsed().as_millis() < 900 {
            assert_eq!(host.get("/keeper/").await.status, 200);
            answered += 1;
        }
        answered
    };
    let (loops, answered) = tokio::join!(loops, innocent);
    assert!(loops.iter().all(|answer| answer.status == 504 || answer.status == 503), "{loops:?}");
    // Two cores share eight loops in turns of a tick: each innocent call waits some ticks.
    assert!(answered >= 3, "only {answered} answers beside the loops");
}

#[tokio::test]
async fn a_client_above_the_rate_of_one_plugin_is_refused_there_and_nowhere_else() {
    let host = Host::start(&["hello", "keeper"]).await;
    let manifest = |answer: &str| {
        format!(
            "name = \"hello\"\n[http]\nroutes = [\"/hello\"]\n\
             rate-limit = {{ per-second = 1, burst = 100 }}\n[config]\nanswer = \"{answer}\"\n"
        )
    };
    let from = async |client: &str| {
        let request = http::Request::get(host.url("/hello")).header("x-forwarded-for", client);
        host.request(request.body(Default::default()).unwrap()).await
    };
    host.install("hello.toml", manifest("one"));
    host.until_plugin("hello", |status| status["generation"] == 2).await;
    let refused = host.eventually(async || match from("203.0.113.1").await {
        answer if answer.status == 429 => Ok(answer),
        answer => Err(format!("it still answers {}", answer.status)),
    });
    assert_eq!(refused.await.headers["retry-after"], "1");
    assert_eq!(from("203.0.113.2").await.text(), "one");
    assert_eq!(host.get("/keeper/").await.status, 200);
    // A swap forgets nobody: a limit that began afresh would let all of these in.
    host.install("hello.toml", manifest("two"));
    host.until_plugin("hello", |status| status["generation"] == 3).await;
    let answers = futures_util::future::join_all((0..50).map(|_| from("203.0.113.1"))).await;
    assert!(answers.iter().any(|answer| answer.status == 429), "{answers:?}");
    assert_eq!(from("203.0.113.3").await.text(), "two");
}
