//! What an `expect` may ask about.

use super::{Node, Problem, RECORD, missing, needed};

const EXPECT: &[&str] =
    &["status", "headers", "body", "json", "topic", "records", "sql", "keyvalue", "calls", "logs"];
/// What only an answer has.
const ANSWER: &[&str] = &["status", "headers", "body", "json"];
const CALL: &[&str] = &["method", "url", "headers", "body", "json"];
const QUERY: &[&str] = &["query", "params", "rows"];
const LINE: &[&str] = &["level", "message"];

/// Check the keys of an `expect`; `asked` says whether its step has an answer.
pub fn check(node: Node<'_>, asked: bool) -> Result<(), Problem> {
    let fields = node.fields("`expect`", EXPECT)?;
    if let (false, Some(key)) = (asked, ANSWER.iter().find(|key| fields.get(key).is_some())) {
        let message = format!("`{key}` is expected of a step without a `request`");
        return Err(node.problem(message, "only an answer has it"));
    }
    if let Some(headers) = fields.get("headers") {
        check_headers(headers)?;
    }
    if let Some(records) = fields.get("records") {
        needed(node, &fields, "topic")?.text("`topic`")?;
        for record in records.list("`records`")? {
            record.fields("a record", RECORD)?;
        }
    } else if fields.get("topic").is_some() {
        return Err(missing(node, "records"));
    }
    if let Some(sql) = fields.get("sql") {
        sql.elements()
            .map_or_else(|| check_query(sql), |all| all.into_iter().try_for_each(check_query))?;
    }
    if let Some(stores) = fields.get("keyvalue") {
        let hint = "write `{\"default\": {\"key\": \"value\"}}`";
        let wrong = || stores.problem("`keyvalue` is not an object of stores", hint);
        for (_, store) in stores.members().ok_or_else(wrong)? {
            store.members().ok_or_else(wrong)?;
        }
    }
    if let Some(calls) = fields.get("calls") {
        calls.list("`calls`")?.into_iter().try_for_each(check_call)?;
    }
    if let Some(logs) = fields.get("logs") {
        for line in logs.list("`logs`")? {
            line.fields("a line", LINE)?;
        }
    }
    Ok(())
}

/// Check the keys of what a plugin is to ask of another host.
pub fn check_call(node: Node<'_>) -> Result<(), Problem> {
    let fields = node.fields("a call", CALL)?;
    fields.get("headers").map_or(Ok(()), check_headers)
}

fn check_query(node: Node<'_>) -> Result<(), Problem> {
    let fields = node.fields("a query", QUERY)?;
    needed(node, &fields, "query")?.text("`query`")?;
    fields.get("params").map_or(Ok(Vec::new()), |params| params.list("`params`"))?;
    needed(node, &fields, "rows")?.list("`rows`").map(drop)
}

fn check_headers(node: Node<'_>) -> Result<(), Problem> {
    let hint = "write it as `{\"name\": \"value\"}`";
    node.members().map(drop).ok_or_else(|| node.problem("`headers` is not an object", hint))
}
