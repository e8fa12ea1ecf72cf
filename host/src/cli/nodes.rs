//! `trellis nodes`: the hosts that share their backends.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::{
    Running,
    client::Client,
    output::{Output, Style, columns, time},
};
use crate::nodes::{Node, State};

/// As much of a digest as tells versions apart.
const DIGEST: usize = 8;

/// Show the hosts that share their backends with a running host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis nodes                        all of them, and plugins whose versions differ
  trellis nodes --admin 10.0.0.7:9080  asks another host
  trellis nodes --json                 for programs

A host that is `lost` has told nothing of itself for `lost-after` in [nodes].")]
pub(super) struct Arguments {
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let nodes: Vec<Node> = Client::find(arguments.running)?.get("/api/nodes").await?;
    match output.json {
        true => output.json(&nodes)?,
        false => output.text(&listing(&nodes, output.style()))?,
    }
    Ok(())
}

/// A line a host, and below the plugins of which they serve different versions.
pub(super) fn listing(nodes: &[Node], style: Style) -> String {
    let heading = ["NAME", "STATE", "VERSION", "STARTED", "HEARD", "HTTP", "ADMIN", "PLUGINS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(nodes.iter().map(|node| {
        let http: Vec<String> = node.addresses.http.iter().map(ToString::to_string).collect();
        vec![
            node.name.clone(),
            node.state.as_str().to_owned(),
            node.version.clone(),
            moment(node.started_ms),
            moment(node.heard_ms),
            http.join(","),
            node.addresses.admin.to_string(),
            node.plugins.len().to_string(),
        ]
    }));
    let table = columns(&rows);
    let mut lines = table.lines();
    let mut text = style.dim(lines.next().unwrap_or_default()) + "\n";
    for (line, node) in lines.zip(nodes) {
        text += &match node.state {
            State::Ready => line.to_owned(),
            State::Starting | State::Stopping => style.yellow(line),
            State::Lost => style.red(line),
        };
        text.push('\n');
    }
    for (plugin, versions) in differing(nodes) {
        text += &style.yellow(&format!("plugin `{plugin}` differs: {versions}"));
        text.push('\n');
    }
    text
}

/// Plugins that are not the same on all hosts that serve, with who has what.
fn differing(nodes: &[Node]) -> Vec<(String, String)> {
    let serving: Vec<&Node> = nodes.iter().filter(|node| node.state == State::Ready).collect();
    let plugins = serving.iter().flat_map(|node| &node.plugins).map(|plugin| plugin.name.as_str());
    let names: BTreeSet<&str> = plugins.collect();
    names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), versions(&serving, name)?)))
        .collect()
}

/// Who has which version of a plugin; `None` where all have the same.
fn versions(nodes: &[&Node], plugin: &str) -> Option<String> {
    let mut versions: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        let found = node.plugins.iter().find(|found| found.name == plugin);
        let digest = found.and_then(|found| found.digest.as_deref());
        versions.entry(digest).or_default().push(&node.name);
    }
    if versions.len() < 2 {
        return None;
    }
    let shown = versions.iter().map(|(digest, nodes)| {
        let digest = digest.map_or("none", |digest| digest.get(..DIGEST).unwrap_or(digest));
        format!("{digest} on {}", nodes.join(", "))
    });
    Some(shown.collect::<Vec<_>>().join("; "))
}

fn moment(ms: u64) -> String {
    time(i64::try_from(ms).unwrap_or(i64::MAX))
}
