//! `trellis reload`: the file of a plugin is tried again.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::Output,
    plugins::serving,
};
use crate::plugins::Status;

/// Load the file of a plugin again, also where the host took its version back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis reload tracker     a new generation of the file in the plugin directory

A version that the host took back because it failed more than the one before is not loaded again by
itself; this gives it another try. It is compared afresh.")]
pub(super) struct Arguments {
    /// The plugin
    name: String,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let client = Client::find(arguments.running)?;
    let path = format!("/api/plugins/{}/reload", encode(&arguments.name));
    let status: Status = client.order(&path, &()).await?;
    match output.json {
        true => output.json(&status)?,
        false => output.text(&(serving(&status) + "\n"))?,
    }
    Ok(())
}
