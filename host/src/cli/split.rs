//! `trellis split`: two versions of a plugin share its requests.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::Output,
    plugins::{described, serving},
};
use crate::plugins::{Status, Weights};

/// Give a new version of a plugin a part of its requests
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis split tracker 95 5      the next version that is dropped gets 5 requests of 100
  cp tracker.wasm plugins/        it is a candidate: `trellis plugins tracker` shows both
  trellis split tracker 50 50     now it gets half of them
  trellis split tracker 0 100     it serves; the old one ends its calls
  trellis split tracker --off     or: the old one is put back into the plugin directory

Chance decides each request anew. Messages of topics go to the version that serves: no partition is
handled by two versions in turn. A route that only the candidate has is there once it serves. A
candidate that fails more than the version that serves is taken back by the host; the split stays
for the next one. It lasts over a restart.")]
pub(super) struct Arguments {
    /// The plugin
    name: String,
    /// The parts of the version that serves and of the candidate, whole numbers
    #[arg(
        value_names = ["LIVE", "CANDIDATE"],
        num_args = 2,
        required_unless_present = "off",
        conflicts_with = "off"
    )]
    weights: Vec<u32>,
    /// End the split: the version that serves gets all requests, the same as `100 0`
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let client = Client::find(arguments.running)?;
    let weights = match arguments.weights[..] {
        [live, candidate] => Weights { live, candidate },
        _ => Weights { live: 100, candidate: 0 },
    };
    let path = format!("/api/plugins/{}/split", encode(&arguments.name));
    let status: Status = client.order(&path, &weights).await?;
    let said = match &status.split {
        Some(split) => format!("plugin `{}`: {}", status.name, described(split)),
        None => serving(&status),
    };
    match output.json {
        true => output.json(&status)?,
        false => output.text(&(said + "\n"))?,
    }
    Ok(())
}
