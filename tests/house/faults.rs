//! What a plugin does to itself stays with it.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Host, component};

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

#[tokio::test]
async fn bodies_that_drip_take_a_bounded_part_of_the_memory() {
    let settings = "[http]\nbody-memory = \"100KiB\"\n[grants]\ndefault = \"needs\"\n";
    let host = Host::start_with(&["hello"], settings).await;
    let post = async |length: usize, sent: usize| {
        let mut socket = TcpStream::connect(host.address("http")).await.unwrap();
        let head = "POST /hello/echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
        let head = format!("{head}content-length: {length}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&vec![b'x'; sent]).await.unwrap();
        socket
    };
    let status = async |socket: &mut TcpStream| {
        let mut line = [0; 12];
        socket.read_exact(&mut line).await.unwrap();
        String::from_utf8_lossy(&line[9..]).into_owned()
    };
    // What an earlier attempt took may not be free again yet, and which of two is read first is
    // open: so all of it is one attempt.
    let crowded = host.eventually(async || {
        let expect = async |step, expected: &str, socket: &mut TcpStream| match status(socket).await
        {
            seen if seen == expected => Ok(()),
            other => Err(format!("{step}: {other}")),
        };
        expect("alone", "200", &mut post(80_000, 80_000).await).await?;
        let mut first = post(90_000, 80_000).await;
        expect("crowded", "503", &mut post(80_000, 80_000).await).await?;
        // Small ones always have room, and the first one has what it took.
        expect("small", "200", &mut post(1000, 1000).await).await?;
        first.write_all(&[b'x'; 10_000]).await.map_err(|error| error.to_string())?;
        expect("first", "200", &mut first).await
    });
    crowded.await;
    let free = host.eventually(async || match status(&mut post(80_000, 80_000).await).await {
        free if free == "200" => Ok(()),
        other => Err(other),
    });
    free.await;
}

#[tokio::test]
async fn connections_leave_files_for_everything_else() {
    let host = Host::start_with_files(&["hello"], 240).await;
    let mut idle = Vec::new();
    for _ in 0..240 {
        idle.push(TcpStream::connect(host.address("http")).await.unwrap());
    }
    host.install("keeper.wasm", std::fs::read(component("keeper")).unwrap());
    host.until_plugin("keeper", |status| status["state"] == "live").await;
    assert!(!host.log().contains("Too many open files"), "{}", host.log());
    drop(idle);
    assert_eq!(host.get("/keeper/").await.status, 200);
}
