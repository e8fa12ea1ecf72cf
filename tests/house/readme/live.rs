//! The README of the live view: lines, an event stream, a websocket, and a login.

use crate::{live::PLUGINS, support::Host};

use super::shell::Shell;

#[tokio::test]
async fn the_live_views_commands_show_events_as_they_come() {
    let mut shell = Shell::of("live");
    let host = Host::start(PLUGINS).await;
    shell.visit(&host);
    let send = async |kind: &str| {
        assert_eq!(host.get(&format!("/t/{kind}?n=1")).await.status, 200);
    };
    // Whoever comes is shown what was.
    send("w").await;
    let mut socket = shell.start("npx wscat -c 'ws://").await;
    socket.until(&host, |said| said.contains(r#""type":"w""#)).await;
    let stream = shell.start("curl -N -H 'accept: text/event-stream'").await;
    stream.until(&host, |said| said.contains("data: {")).await;
    socket.write(r#"{"pause":true}"#);
    socket.until(&host, |said| said.contains(r#""paused":true"#)).await;
    socket.write(r#"{"filter":["w"]}"#);
    socket.until(&host, |said| said.contains(r#""filter":["w"]"#)).await;

    // Lines begin with what comes after them, so it comes until it is there.
    let lines = shell.start("curl -N 'http://127.0.0.1:8080/kafidx/events?filter=").await;
    for kind in ["search", "purchase"] {
        host.eventually(async || {
            send("visit").await;
            send(kind).await;
            match lines.said().contains(&format!(r#""type":"{kind}""#)) {
                true => Ok(()),
                false => Err(format!("no {kind}: {}", lines.said())),
            }
        })
        .await;
    }
    assert!(!lines.said().contains(r#""type":"visit""#), "{}", lines.said());

    // The rest is for who must log in.
    let host = Host::start_with(PLUGINS, &shell.settings()).await;
    shell.visit(&host);
    assert_eq!(host.get("/kafidx/events").await.status, 401);
    shell.run("curl -c jar").await;
    let lines = shell.start("curl -N -b jar").await;
    host.eventually(async || {
        assert_eq!(host.get("/t/w").await.status, 200);
        match lines.said().contains(r#""type":"w""#) {
            true => Ok(()),
            false => Err(format!("no event: {}", lines.said())),
        }
    })
    .await;
}
