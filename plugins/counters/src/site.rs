//! The statistics over HTTP: a list of them, and for each its description, its page, its data.

use serde::Serialize;
use trellis_sdk::http::{Error, Request, Response, Result};

use crate::counts::WINDOW_MS;
use crate::store::{self, Table};

const LIST: &str = include_str!("list.html");
const PAGE: &str = include_str!("page.html");
/// How many rows the data has unless `limit` says otherwise, and the most it may have.
const USUAL_ROWS: i64 = 10_000;
const MAX_ROWS: i64 = 100_000;
/// How far back the average of `stats` looks.
const AVERAGE_MS: i64 = 60_000;

/// A statistic as it describes itself.
#[derive(Debug, Serialize)]
struct Statistic {
    name: &'static str,
    description: &'static str,
    column: [&'static str; 2],
    legend: &'static str,
    #[serde(skip)]
    table: Option<Table>,
}

const STATISTICS: [Statistic; 4] = [
    Statistic {
        name: "event_counter",
        description: "How often each event happened, by its type and action.",
        column: ["event", "count"],
        legend: "events",
        table: Some(Table::Events),
    },
    Statistic {
        name: "metadata",
        description: "Where events came from: nodes, addresses and countries.",
        column: ["origin", "count"],
        legend: "events",
        table: Some(Table::Metadata),
    },
    Statistic {
        name: "search_counter",
        description: "What people looked for before they made an offer.",
        column: ["text", "count"],
        legend: "previews",
        table: Some(Table::Searches),
    },
    Statistic {
        name: "stats",
        description: "How events flow: the delay in milliseconds, events a second, and all events.",
        column: ["measure", "value"],
        legend: "measured every 5 seconds",
        table: None,
    },
];

#[derive(Debug, Serialize)]
struct Data<K> {
    data: Vec<(K, serde_json::Number)>,
    lastupdate: i64,
}

/// Answer one request.
pub fn answer(request: Request<'_>) -> Result {
    if !matches!(request.method(), "GET" | "HEAD") {
        return Ok(Response::text("send GET").with_status(405).with_header("allow", "GET, HEAD"));
    }
    let Some(name) = request.param("name") else {
        return list(&request);
    };
    let statistic = STATISTICS
        .iter()
        .find(|statistic| statistic.name == name)
        .ok_or_else(|| Error::status(404, format!("there is no statistic `{name}`")))?;
    match request.param("view") {
        Some("json") => Response::json(statistic),
        Some("page") => Ok(Response::html(PAGE)),
        Some("data") => {
            data(statistic, &request).map(|data| data.with_header("cache-control", "no-store"))
        }
        _ => Err(Error::status(404, "a statistic has `json`, `page` and `data`")),
    }
}

fn list(request: &Request<'_>) -> Result {
    match request.header("accept").is_some_and(|accept| accept.contains("text/html")) {
        true => Ok(Response::html(LIST)),
        false => Response::json(&STATISTICS),
    }
}

fn data(statistic: &Statistic, request: &Request<'_>) -> Result {
    let (total, lastupdate) = store::progress()?;
    let Some(table) = statistic.table else {
        let data = flow(total, request.time_ms().cast_signed())?;
        return Response::json(&Data { data, lastupdate });
    };
    let rows = store::largest(table, limit(request)?)?;
    let data = rows.into_iter().map(|(key, count)| (key, count.into())).collect();
    Response::json(&Data { data, lastupdate })
}

fn limit(request: &Request<'_>) -> Result<i64> {
    let Some(text) = request.query_value("limit") else {
        return Ok(USUAL_ROWS);
    };
    let limit = text.parse().ok().filter(|limit| (1..=MAX_ROWS).contains(limit));
    limit.ok_or_else(|| Error::status(400, format!("`limit` is a number from 1 to {MAX_ROWS}")))
}

/// The measures of `stats`: the mean delay in the newest two windows, the events a second in the
/// last minute, all events.
fn flow(total: i64, now_ms: i64) -> Result<Vec<(&'static str, serde_json::Number)>> {
    let (recent, lag_ms) = store::window(now_ms - 2 * WINDOW_MS, now_ms + 1)?;
    let (minute, _) = store::window(now_ms - AVERAGE_MS, now_ms + 1)?;
    Ok(vec![
        ("lag", mean(lag_ms, recent)),
        ("average", mean(minute * 1_000, AVERAGE_MS)),
        ("total", total.into()),
    ])
}

/// A quotient to two digits; nothing of nothing is 0.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn mean(sum: i64, count: i64) -> serde_json::Number {
    let mean = (sum as f64 * 100.0 / count.max(1) as f64).round() / 100.0;
    serde_json::Number::from_f64(mean).unwrap_or_else(|| 0.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mean_has_two_digits_and_nothing_of_nothing_is_0() {
        assert_eq!(mean(10, 3).to_string(), "3.33");
        assert_eq!(mean(0, 0).to_string(), "0.0");
    }

    #[test]
    fn data_is_a_list_of_pairs() {
        let data = Data { data: vec![("w", 7.into())], lastupdate: 5 };
        let written = serde_json::to_string(&data).unwrap();
        assert_eq!(written, r#"{"data":[["w",7]],"lastupdate":5}"#);
    }
}
