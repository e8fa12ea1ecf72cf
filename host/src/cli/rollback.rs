//! `trellis rollback`: an earlier version of a plugin serves again.

use clap::Args;

use super::{
    Running,
    client::{Client, encode},
    output::Output,
    plugins::serving,
};
use crate::{admin::plugins::Rollback, plugins::Status};

/// Put an earlier version of a plugin back
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis rollback tracker                   the version before the one in the directory
  trellis rollback tracker --to 1.4.0        the one with this version in its manifest
  trellis rollback tracker --to 9f2c         the one whose digest begins so

`trellis plugins NAME` shows the versions that are kept; `[versions] keep` says how many.
The component and its sidecar are put back into the plugin directory, which the host must be
allowed to write, so that the same version serves after a restart. It is swapped like any file that
is dropped: no request fails. What its migrations made of the database stays: an earlier version
runs on the newer schema. A rollback ends a split.")]
pub(super) struct Arguments {
    /// The plugin
    name: String,
    /// The version in its manifest, or the beginning of its digest
    #[arg(long, value_name = "VERSION|DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    running: Running,
}

pub(super) async fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let client = Client::find(arguments.running)?;
    let path = format!("/api/plugins/{}/rollback", encode(&arguments.name));
    let status: Status = client.order(&path, &Rollback { to: arguments.to }).await?;
    match output.json {
        true => output.json(&status)?,
        false => output.text(&(serving(&status) + "\n"))?,
    }
    Ok(())
}
