//! What plugins do by the clock.

use crate::support::{Host, component, variant};

async fn runs(host: &Host) -> u64 {
    host.get("/lines/runs").await.text().parse().unwrap_or(0)
}

async fn until_more(host: &Host, than: u64) -> u64 {
    let more = host.eventually(async || match runs(host).await {
        runs if runs > than => Ok(runs),
        runs => Err(format!("{runs} runs")),
    });
    more.await
}

#[tokio::test]
async fn a_schedule_runs_again_and_again_over_swaps_until_its_plugin_is_gone() {
    let host = Host::start(&["lines"]).await;
    let before = until_more(&host, 3).await;
    let bytes = std::fs::read(component("lines")).unwrap();
    host.install("lines.wasm", variant(&bytes, "2"));
    host.until_plugin("lines", |status| status["version"] == "2").await;
    until_more(&host, before + 3).await;
    std::fs::remove_file(host.plugins().join("lines.wasm")).unwrap();
    host.until("/lines/runs", |answer| answer.status == 404).await;
    host.install("lines.wasm", bytes);
    until_more(&host, before + 3).await;
}

#[tokio::test]
async fn a_run_that_fails_is_told_and_counted_and_the_next_one_comes() {
    let host = Host::start(&["lines"]).await;
    host.post("/lines/fail", "yes").await;
    let counted = |text: &str| {
        let failed =
            r#"trellis_schedule_runs_total{plugin="lines",schedule="runs",outcome="failed"}"#;
        text.lines().find_map(|line| line.strip_prefix(failed)?.trim().parse::<u64>().ok())
    };
    let twice = host.eventually(async || match counted(&host.admin("/metrics").await.text()) {
        Some(count) if count >= 2 => Ok(()),
        other => Err(format!("{other:?} runs failed")),
    });
    twice.await;
    assert!(host.log().contains("asked to fail"), "{}", host.log());
}

#[tokio::test]
async fn a_schedule_without_a_handler_and_a_handler_without_a_schedule_are_refused() {
    let host = Host::start(&[]).await;
    let (lines, hello) = (component("lines"), component("hello"));
    let idle = crate::support::changed(&std::fs::read(lines).unwrap(), |manifest| {
        manifest.schedule.clear();
    });
    host.install("lines.wasm", idle);
    let refused = host.until_plugin("lines", |status| status["state"] == "failed").await;
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("add `[[schedule]]` with `name = "), "{reason}");
    let eager = crate::support::changed(&std::fs::read(hello).unwrap(), |manifest| {
        let text = "name = \"x\"\n[[schedule]]\nname = \"a\"\nevery = \"1s\"\n";
        manifest.schedule = trellis::manifest::read(text, "x").unwrap().schedule;
    });
    host.install("hello.wasm", eager);
    let refused = host.until_plugin("hello", |status| status["state"] == "failed").await;
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("exports no job handler"), "{reason}");
}
