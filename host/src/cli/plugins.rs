//! `trellis plugins`: what a running host serves.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::{Output, Style, columns, needs, time},
};
use crate::{
    plugins::{Status, status::State},
    quantity::Bytes,
};

/// Show the plugins of a running host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis plugins                 all of them
  trellis plugins tracker         one with its routes, topics and needs
  trellis plugins --json          for programs")]
pub(super) struct Arguments {
    /// One plugin, with all that is known about it
    name: Option<String>,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let client = Client::find(arguments.running)?;
    match arguments.name {
        Some(name) => {
            let status: Status = client.get(&format!("/api/plugins/{}", encode(&name))).await?;
            match output.json {
                true => output.json(&status)?,
                false => output.text(&details(&status, output.style()))?,
            }
        }
        None => {
            let statuses: Vec<Status> = client.get("/api/plugins").await?;
            match output.json {
                true => output.json(&statuses)?,
                false => output.text(&listing(&statuses, output.style()))?,
            }
        }
    }
    Ok(())
}

/// A line a plugin, and below the reason of one that failed.
pub(super) fn listing(statuses: &[Status], style: Style) -> String {
    if statuses.is_empty() {
        return "no plugins are installed\n".to_owned();
    }
    let heading =
        ["NAME", "STATE", "GENERATION", "VERSION", "INSTANCES", "MEMORY", "CALLS", "FAULTS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(statuses.iter().map(|status| {
        vec![
            status.name.clone(),
            status.state.as_str().to_owned(),
            or_dash(status.generation),
            or_dash(status.version.as_ref()),
            status.instances.to_string(),
            mebibytes(status.memory),
            status.calls.to_string(),
            status.faults.to_string(),
        ]
    }));
    let table = columns(&rows);
    let mut lines = table.lines();
    let mut text = style.dim(lines.next().unwrap_or_default()) + "\n";
    for (line, status) in lines.zip(statuses) {
        text += &format!("{}\n", paint(line, status.state, style));
        if let Some(reason) = &status.reason {
            text += &reason.lines().map(|line| format!("  {line}\n")).collect::<String>();
        }
    }
    text
}

/// Everything about one plugin, a line each.
pub(super) fn details(status: &Status, style: Style) -> String {
    let rows = [
        ("name", status.name.clone()),
        ("state", paint(status.state.as_str(), status.state, style)),
        ("reason", or_dash(status.reason.as_ref())),
        ("generation", or_dash(status.generation)),
        ("version", or_dash(status.version.as_ref())),
        ("since", time(i64::try_from(status.since_ms).unwrap_or(i64::MAX))),
        ("file", or_dash(status.file.as_ref())),
        ("digest", or_dash(status.digest.as_ref())),
        ("routes", list(&status.routes)),
        ("consumes", list(&status.consumes)),
        ("needs", list(&needs(&status.needs))),
        ("instances", status.instances.to_string()),
        ("memory", mebibytes(status.memory)),
        ("calls", status.calls.to_string()),
        ("faults", status.faults.to_string()),
    ];
    columns(&rows.map(|(name, value)| vec![name.to_owned(), value]))
}

fn paint(text: &str, state: State, style: Style) -> String {
    match state {
        State::Live => text.to_owned(),
        State::Failed => style.red(text),
        State::Loading | State::Draining => style.yellow(text),
    }
}

fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

/// A size to read at a glance.
fn mebibytes(bytes: u64) -> String {
    match bytes {
        0..1024 => Bytes(bytes).to_string(),
        1024..1_048_576 => format!("{}KiB", bytes >> 10),
        _ => format!("{}MiB", bytes >> 20),
    }
}
