//! Plugins in TypeScript: the statistics agree with those in Rust, mistakes are told with their
//! place, and what a handler throws harms nobody.

use std::fs;

use serde_json::{Value, json};

use super::build;
use crate::{
    command::{ask, run, trellis},
    support::{Host, component},
};

/// Events of all kinds, some of them with more than one would think.
fn events() -> Vec<Value> {
    let events = (0..300).map(|number| {
        let kind = ["w", "offr", "srch", "bücher 🎵", "a\u{0}b"][number % 5];
        let action = ["", "preview", "create"][number % 3];
        json!({
            "type": if number == 7 { "ü".repeat(400) } else { kind.to_owned() },
            "klag": number, "ip": format!("203.0.113.{}", number % 40), "node": "one",
            "geo": {"country": if number % 2 == 0 { json!("DE") } else { Value::Null }},
            "params": {"action": action, "text": "Fahrräder"},
        })
    });
    events.collect()
}

#[tokio::test]
async fn the_statistics_in_typescript_agree_with_those_in_rust() {
    let host = Host::start(&["counters"]).await;
    ask(&host, &["topics", "create", "events"]).await.well();
    host.install("statistics.wasm", fs::read(component("statistics")).unwrap());
    host.until_plugin("statistics", |status| status["state"] == "live").await;
    let mut records: Vec<_> =
        events().iter().map(|event| json!({"value": event.to_string()})).collect();
    // Put aside by both, and those behind it go on.
    records.insert(100, json!({"value": "no event"}));
    let records = json!({"records": records}).to_string();
    assert_eq!(host.admin_post("/api/topics/events/records", records).await.status, 200);
    for group in ["counters", "statistics"] {
        host.records(&format!("events.dead.{group}"), 1).await;
    }
    for statistic in ["event_counter", "metadata", "search_counter", "stats"] {
        let total = |answer: &Value| answer["data"][2][1] == json!(300);
        for home in ["", "/statistics"] {
            let stats = format!("{home}/consumers/stats/data");
            host.until(&stats, |answer| total(&answer.json())).await;
        }
        let json = host.get(&format!("/statistics/consumers/{statistic}/json")).await.json();
        assert_eq!(json, host.get(&format!("/consumers/{statistic}/json")).await.json());
        if statistic != "stats" {
            let ours = host.get(&format!("/statistics/consumers/{statistic}/data")).await.json();
            assert_eq!(ours, host.get(&format!("/consumers/{statistic}/data")).await.json());
        }
    }
}

const PLUGIN: &str = r#"
import { json, plugin } from "trellis";

let calls = 0;

async function later(): Promise<number> {
  await null;
  return Math.random();
}

export default plugin({
  async http(request) {
    calls += 1;
    switch (request.params.who) {
      case "wrong":
        return JSON.parse("{");
      case "dice":
        return json(await later());
      default:
        console.log("asked by", request.params.who);
        return json({ calls });
    }
  },
});
"#;

#[tokio::test]
async fn what_a_typescript_plugin_throws_is_told_with_its_place_and_the_instance_goes_on() {
    let host = Host::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("greeter");
    let into = ["new", "greeter", "--lang", "typescript", "--dir"].map(AsRef::as_ref);
    run(trellis(into.into_iter().chain([folder.as_os_str()]))).await.well();
    let manifest = folder.join("plugin.toml");
    let one = fs::read_to_string(&manifest).unwrap() + "\n[limits]\nconcurrency = 1\n";
    fs::write(&manifest, one).unwrap();

    fs::write(folder.join("plugin.ts"), PLUGIN.replace("params.who", "parms.who")).unwrap();
    let refused = build(&folder, dir.path()).await.refused();
    assert!(refused.err.contains("plugin.ts(14,21): error TS2551"), "{refused:?}");

    let wanting =
        PLUGIN.replace("json, plugin", "json, sql, plugin").replace("calls += 1", "sql.dialect()");
    fs::write(folder.join("plugin.ts"), wanting).unwrap();
    let refused = build(&folder, dir.path()).await.refused();
    assert!(refused.err.contains("add `[needs.sql]` to plugin.toml"), "{refused:?}");

    fs::write(folder.join("plugin.ts"), PLUGIN).unwrap();
    let built = build(&folder, dir.path()).await;
    assert_eq!(built.code, Some(0), "{built:?}");
    host.install("greeter.wasm", fs::read(dir.path().join("greeter.wasm")).unwrap());
    host.until_plugin("greeter", |status| status["state"] == "live").await;

    assert_eq!(host.get("/greeter/ada").await.json(), json!({"calls": 1}));
    assert_eq!(host.get("/greeter/wrong").await.status, 500);
    assert_eq!(host.get("/greeter/ada").await.json(), json!({"calls": 3}));
    let dice = [host.get("/greeter/dice").await.text(), host.get("/greeter/dice").await.text()];
    assert_ne!(dice[0], dice[1]);
    for told in ["asked by ada", "SyntaxError", "plugin.ts:16"] {
        host.eventually(async || match host.log().contains(told) {
            true => Ok(()),
            false => Err(format!("`{told}` is not in the log")),
        })
        .await;
    }
}
