//! Sends each line of an access log to the tracker: its path and query, its agent and referrer,
//! and its address as a trusted proxy reports it.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Uri};
use http_body_util::Full;

use crate::client::Client;

/// What to replay.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An access log in the combined format of Apache.
    file: PathBuf,
    /// Where the host listens, `http://127.0.0.1:8080`.
    #[arg(long)]
    to: String,
    /// What stands before each path.
    #[arg(long, default_value = "/t")]
    under: String,
    /// Requests at a time.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    /// One JSON object instead of a sentence.
    #[arg(long)]
    json: bool,
}

/// One line of the log.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    ip: &'a str,
    /// Path and query.
    target: &'a str,
    referrer: &'a str,
    agent: &'a str,
}

/// Replay and report.
pub async fn run(arguments: Arguments) -> Result<()> {
    let bytes = fs::read(&arguments.file).context("the access log cannot be read")?;
    let text = String::from_utf8_lossy(&bytes);
    let requests = text.lines().enumerate().map(|(number, line)| {
        let line =
            Line::parse(line).with_context(|| format!("line {} is no request", number + 1))?;
        line.request(arguments.to.trim_end_matches('/'), &arguments.under)
            .with_context(|| format!("line {} cannot be asked for", number + 1))
    });
    let requests = requests.collect::<Result<Vec<_>>>()?;
    let (sent, begun) = (requests.len(), Instant::now());
    let client = Arc::new(Client::default());
    let statuses = stream::iter(requests).map(|request| {
        let client = Arc::clone(&client);
        async move {
            client.send(request).await.map_or_else(
                |error| format!("{error:#}"),
                |(status, _)| status.as_u16().to_string(),
            )
        }
    });
    let statuses: Vec<String> = statuses.buffer_unordered(arguments.concurrency).collect().await;
    report(sent, &statuses, begun.elapsed(), arguments.json)
}

fn report(sent: usize, statuses: &[String], took: Duration, json: bool) -> Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_default() += 1;
    }
    let accepted: usize =
        counts.iter().filter(|(status, _)| status.starts_with('2')).map(|(_, count)| count).sum();
    let (failed, seconds) = (sent - accepted, took.as_secs_f64());
    if json {
        println!(
            "{}",
            serde_json::json!({"sent": sent, "accepted": accepted, "failed": failed, "seconds": seconds, "answers": counts})
        );
    } else {
        println!(
            "{sent} requests in {seconds:.2} s: {accepted} accepted, {failed} failed {counts:?}"
        );
    }
    ensure!(failed == 0, "{failed} requests failed");
    Ok(())
}

impl<'a> Line<'a> {
    /// `ip - - [time] "GET /path HTTP/1.1" 200 1 "referrer" "agent"`.
    fn parse(line: &'a str) -> Option<Self> {
        let (ip, rest) = line.split_once(' ')?;
        let mut quoted = rest.split('"').skip(1).step_by(2);
        let target = quoted.next()?.split(' ').nth(1)?;
        Some(Self { ip, target, referrer: quoted.next()?, agent: quoted.next().unwrap_or("-") })
    }

    /// The request that sends this line as an event.
    fn request(&self, to: &str, under: &str) -> Result<Request<Full<Bytes>>> {
        let uri: Uri = format!("{to}{under}{}", self.target).parse()?;
        let mut request = Request::get(uri).header("x-forwarded-for", self.ip);
        for (name, value) in [("user-agent", self.agent), ("referer", self.referrer)] {
            if value != "-" {
                request = request.header(name, value);
            }
        }
        Ok(request.body(Full::default())?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_request_of_its_client() {
        let line = r#"192.0.2.7 - - [17/May/2015:10:05:03 +0000] "GET /a/b.png?x=1 HTTP/1.1" 200 203023 "http://example.com/" "Mozilla/5.0 (X11)""#;
        let request = Line::parse(line).unwrap().request("http://127.0.0.1:1", "/t").unwrap();
        assert_eq!(request.uri(), "http://127.0.0.1:1/t/a/b.png?x=1");
        assert_eq!(request.headers()["x-forwarded-for"], "192.0.2.7");
        assert_eq!(request.headers()["user-agent"], "Mozilla/5.0 (X11)");
    }

    #[test]
    fn what_the_log_does_not_know_is_not_sent() {
        let line = r#"192.0.2.7 - - [t] "GET / HTTP/1.1" 200 - "-" "-""#;
        let request = Line::parse(line).unwrap().request("http://h", "/t").unwrap();
        assert!(!request.headers().contains_key("referer"));
        assert!(!request.headers().contains_key("user-agent"));
    }

    #[test]
    fn what_is_no_request_is_noticed() {
        for line in ["", "192.0.2.7 - - [t]", r#"192.0.2.7 - - [t] "GET""#] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }
}
