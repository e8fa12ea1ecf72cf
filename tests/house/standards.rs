//! Interfaces of other hosts, as components use them that were made for those: `wasi:blobstore`,
//! `wasmcloud:messaging`, `wasi:otel` (whose spans are in `traces`).

use serde_json::json;

use crate::support::{Answer, Host};

async fn told(host: &Host, path: &str, body: impl Into<bytes::Bytes>) -> (u16, String) {
    let answer: Answer = host.post(&format!("/visitor/{path}"), body).await;
    (answer.status, answer.text())
}

/// What a deed that must not fail says.
async fn done(host: &Host, path: &str, body: impl Into<bytes::Bytes>) -> String {
    let (status, text) = told(host, path, body).await;
    assert_eq!(status, 200, "{path}: {text}\n{}", host.log());
    text
}

async fn refused(host: &Host, path: &str, body: impl Into<bytes::Bytes>) -> String {
    let (status, text) = told(host, path, body).await;
    assert_eq!(status, 409, "{path}: {text}\n{}", host.log());
    text
}

#[tokio::test]
async fn objects_of_wasi_blobstore_are_written_read_listed_moved_and_deleted() {
    let mut host = Host::start(&["visitor"]).await;
    assert_eq!(done(&host, "luggage/open/luggage", "").await, "luggage");
    done(&host, "luggage/put/coat", "a warm coat").await;
    assert_eq!(done(&host, "luggage/info/coat", "").await, "luggage coat 11");
    assert_eq!(done(&host, "luggage/get/coat", "").await, "a warm coat");
    assert_eq!(done(&host, "luggage/part/coat", "").await, "war");
    done(&host, "luggage/store/coat", "").await;
    done(&host, "luggage/delete/coat", "").await;
    assert_eq!(done(&host, "luggage/has/coat", "").await, "false");
    assert_eq!(refused(&host, "luggage/get/coat", "").await, "there is no blob `coat`");
    done(&host, "luggage/fetch/coat", "").await;
    done(&host, "luggage/put/boots/left", "").await;
    done(&host, "luggage/put/boots/right", "").await;
    for page in [1, 2, 3, 100] {
        let names = done(&host, &format!("luggage/list/{page}"), "").await;
        assert_eq!(names, "boots/left boots/right coat", "pages of {page}");
    }
    host.kill();
    host.run().await;
    assert_eq!(done(&host, "luggage/get/coat", "").await, "a warm coat");
    done(&host, "luggage/clear", "").await;
    assert_eq!(done(&host, "luggage/list/100", "").await, "");
}

#[tokio::test]
async fn an_object_is_streamed_as_it_was_when_it_was_opened() {
    let host = Host::start(&["visitor"]).await;
    let coat: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    done(&host, "luggage/put/coat", coat.clone()).await;
    let streamed = done(&host, "luggage/stream/coat", "").await;
    assert!(streamed == coat, "{} bytes of {} came", streamed.len(), coat.len());
    assert_eq!(done(&host, "luggage/has/coat", "").await, "false");
}

#[tokio::test]
async fn a_value_that_is_not_finished_or_too_large_changes_nothing() {
    let host = Host::start(&["visitor"]).await;
    done(&host, "luggage/put/coat", "a warm coat").await;
    done(&host, "luggage/abandon/coat", "rags").await;
    let reason = refused(&host, "luggage/put/coat", vec![b'-'; (16 << 20) + 1]).await;
    assert!(reason.ends_with("write 16777216 at most"), "{reason}");
    assert_eq!(done(&host, "luggage/get/coat", "").await, "a warm coat");
}

#[tokio::test]
async fn containers_that_were_not_granted_are_not_there() {
    let host = Host::start(&["visitor"]).await;
    assert_eq!(done(&host, "luggage/exists/luggage", "").await, "true");
    assert_eq!(done(&host, "luggage/exists/others", "").await, "false");
    let reason = refused(&host, "luggage/open/others", "").await;
    assert!(reason.starts_with("`others` is not in `[needs.blobs] containers`"), "{reason}");
    assert!(refused(&host, "luggage/put/../others", "x").await.contains("`..`"));
}

#[tokio::test]
async fn a_component_that_hoards_open_objects_is_told_to_stop_and_others_go_on() {
    let host = Host::start(&["visitor", "hello"]).await;
    done(&host, "luggage/put/coat", "a warm coat").await;
    for _ in 0..3 {
        let told = done(&host, "luggage/hoard/coat", "").await;
        assert_eq!(told, "256: `256` blobs are open for reading; drop one before the next");
    }
    assert_eq!(host.get("/hello").await.status, 200);
}

#[tokio::test]
async fn what_is_published_through_wasmcloud_messaging_is_handled_and_answered() {
    let host = Host::start(&["visitor"]).await;
    for letter in ["one", "two", "three"] {
        assert_eq!(done(&host, "letters/send/letters", letter).await, "sent");
    }
    let answers = host.records("answers", 3).await;
    let values: Vec<_> = answers.iter().map(|record| record["value"].clone()).collect();
    assert_eq!(values, [json!("answer to one"), json!("answer to two"), json!("answer to three")]);
}

#[tokio::test]
async fn a_message_that_is_refused_or_traps_goes_to_the_dead_letters_and_the_others_are_handled() {
    let host = Host::start(&["visitor"]).await;
    for letter in ["one", "refuse", "two", "trap", "three"] {
        done(&host, "letters/send/letters", letter).await;
    }
    let lost = host.records("lost-letters", 2).await;
    let values: Vec<_> = lost.iter().map(|record| record["value"].clone()).collect();
    assert_eq!(values, [json!("refuse"), json!("trap")]);
    host.eventually(async || {
        let records = host.admin("/api/topics/answers/records").await.text();
        match ["one", "two", "three"].iter().all(|name| records.contains(&format!("to {name}"))) {
            true => Ok(()),
            false => Err(records),
        }
    })
    .await;
}

#[tokio::test]
async fn publishing_beyond_the_grant_and_requests_are_refused_in_words() {
    let host = Host::start(&["visitor"]).await;
    let reason = refused(&host, "letters/send/others", "x").await;
    assert_eq!(reason, "the topic `others` was not granted; add it to `[needs.produce] topics`");
    let reason = refused(&host, "letters/request/letters", "x").await;
    assert!(reason.starts_with("nobody answers a request to `letters`"), "{reason}");
}

#[tokio::test]
async fn lines_and_numbers_of_wasi_otel_reach_the_log_and_the_metrics() {
    let host = Host::start(&["visitor"]).await;
    done(&host, "diary/line/late", "").await;
    for _ in 0..3 {
        done(&host, "diary/count/steps.taken", "").await;
    }
    let metrics = host.admin("/metrics").await.text();
    let series = "plugin_steps_taken{plugin=\"visitor\",stop_number=\"7\"} 3";
    assert!(metrics.lines().any(|line| line == series), "{metrics}");
    host.eventually(async || {
        let log = host.log();
        let line = |line: &str| line.contains("late stop.number=7") && line.contains("visitor");
        if log.lines().any(line) { Ok(()) } else { Err(log) }
    })
    .await;
}
