//! `trellis plugins`: what a running host serves.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::{Output, Style, columns, needs, tame, time},
};
use crate::{
    plugins::{
        Status,
        status::{Split, State, Version, VersionState},
        versions::short,
    },
    quantity::Bytes,
};

/// Show the plugins of a running host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis plugins                 all of them
  trellis plugins tracker         one with its routes, topics, needs and versions
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
            text += &indented(reason);
        }
        if let Some(split) = &status.split {
            text += &indented(&described(split));
        }
    }
    text
}

/// Everything about one plugin, a line each.
pub(super) fn details(status: &Status, style: Style) -> String {
    let rows = [
        ("name", status.name.clone()),
        ("state", paint(status.state.as_str(), status.state, style)),
        ("reason", or_dash(status.reason.as_deref().map(tame))),
        ("generation", or_dash(status.generation)),
        ("version", or_dash(status.version.as_ref())),
        ("since", time(i64::try_from(status.since_ms).unwrap_or(i64::MAX))),
        ("file", or_dash(status.file.as_ref())),
        ("digest", or_dash(status.digest.as_ref())),
        ("split", or_dash(status.split.as_ref().map(described))),
        ("routes", list(&status.routes)),
        ("consumes", list(&status.consumes)),
        ("needs", list(&needs(&status.needs))),
        ("instances", status.instances.to_string()),
        ("memory", mebibytes(status.memory)),
        ("calls", status.calls.to_string()),
        ("faults", status.faults.to_string()),
        ("errors", status.errors.to_string()),
        ("reverts", status.reverts.to_string()),
    ];
    let rows = columns(&rows.map(|(name, value)| vec![name.to_owned(), value]));
    if status.versions.is_empty() { rows } else { rows + "\n" + &versions(status, style) }
}

/// A line a version, and below the reason of one that was taken back.
fn versions(status: &Status, style: Style) -> String {
    let heading =
        ["VERSION", "DIGEST", "STATE", "GENERATION", "WEIGHT", "LOADED", "CALLS", "ERRORS"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    rows.extend(status.versions.iter().map(|version| {
        let loaded = |what: u64| version.generation.map(|_| what);
        vec![
            or_dash(version.version.as_ref()),
            short(&version.digest).to_owned(),
            version.state.as_str().to_owned(),
            or_dash(version.generation),
            or_dash(version.generation.map(|_| percent(version.weight))),
            time(i64::try_from(version.loaded_ms).unwrap_or(i64::MAX)),
            or_dash(loaded(version.calls)),
            or_dash(loaded(version.errors)),
        ]
    }));
    let table = columns(&rows);
    let mut lines = table.lines();
    let mut text = style.dim(lines.next().unwrap_or_default()) + "\n";
    for (line, version) in lines.zip(&status.versions) {
        text += &format!("{}\n", paint_version(line, version, style));
        // The plugin's own reason stands above.
        let own = version.reason.as_ref().filter(|own| Some(*own) != status.reason.as_ref());
        text += &own.map_or_else(String::new, |reason| indented(reason));
    }
    text
}

fn paint_version(line: &str, version: &Version, style: Style) -> String {
    match version.state {
        VersionState::Live => line.to_owned(),
        VersionState::Canary | VersionState::Draining => style.yellow(line),
        VersionState::Kept => style.dim(line),
        VersionState::Refused => style.red(line),
    }
}

/// A split in words.
pub(super) fn described(split: &Split) -> String {
    let part = percent(split.weights.share());
    match split.generation {
        Some(generation) => format!("generation {generation} is a candidate with {part}"),
        None => format!("the next version that is dropped gets {part}"),
    }
}

fn percent(part: f64) -> String {
    let text = format!("{:.3}", part * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", tame(line))).collect()
}

/// Which version serves, as one line.
pub(super) fn serving(status: &Status) -> String {
    let live = status.versions.iter().find(|version| version.state == VersionState::Live);
    let digest = live.map_or("-", |live| short(&live.digest));
    format!(
        "plugin `{}`: version {} ({digest}) serves as generation {}",
        status.name,
        or_dash(status.version.as_ref()),
        or_dash(status.generation)
    )
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
