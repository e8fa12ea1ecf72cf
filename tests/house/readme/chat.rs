//! The README of the chat: a poll, a websocket, and the stock client of Phoenix with all that it
//! should find.

use serde_json::Value;

use crate::support::Host;

use super::shell::Shell;

#[tokio::test]
async fn the_chats_commands_join_talk_and_find_everything_over_both_transports() {
    let mut shell = Shell::of("chat");
    let host = Host::start_with(&["chat"], &shell.settings()).await;
    shell.visit(&host);
    let poll: Value = serde_json::from_str(&shell.run("curl ").await).unwrap();
    assert!(poll["status"] == 410 && poll["token"].is_string(), "{poll}");

    let guest = shell.start("npx wscat").await;
    // What everybody in the room is told may come before the answer to who said it.
    let all = |said: &str| said.contains(r#""new:msg""#) && said.contains(r#"["1","3","#);
    let said = guest.until(&host, all).await;
    let frames = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let frames: Vec<Value> = frames.collect();
    for reference in ["1", "2", "3"] {
        let answers =
            frames.iter().filter(|frame| frame[3] == "phx_reply" && frame[1] == reference);
        let statuses: Vec<&Value> = answers.map(|frame| &frame[4]["status"]).collect();
        assert_eq!(statuses, ["ok"], "{said}");
    }
    let message = frames.iter().find(|frame| frame[3] == "new:msg").unwrap();
    assert_eq!((&message[4]["user"], &message[4]["body"]), (&"ada".into(), &"hello".into()));
    drop(guest);

    shell.run("npm install --prefix target/phoenix").await;
    let said = shell.run("MODULES=target/phoenix JWT_SECRET=").await;
    assert!(said.contains("all is well"), "{said}\n{}", host.log());
    assert!(!said.contains("FAIL") && !said.contains("skip"), "{said}");
}
