//! `trellis check`: what a component exports, imports and needs, and why it would be refused.
//!
//! It goes the way that a host goes with a new file, in a directory that is thrown away: read,
//! grants, compile, link, topics, migrations. Only `start` is left out, since that is the plugin's
//! own code and may reach out into the world.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{output::Output, serve};
use crate::{
    backends::{Backends, sql},
    manifest::Manifest,
    plugins::{
        folder::Source,
        generation::Blueprint,
        grants::{DefaultGrant, Grants, Refusal},
        load::{Component, Loaded, Loader},
    },
    serve::{checks, loader},
    settings::{self, Settings},
};

mod report;

use report::{Refused, Report};

/// Show what a component is and whether a host would refuse it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis check out/tracker.wasm
  trellis check out/tracker.wasm --settings /etc/trellis.toml    with the operator's grants
  trellis check out/tracker.wasm --json | jq .refusals

It is compiled, linked and given an empty database for its migrations; its own code does not run.
The exit code is 0 when the component would be loaded, 1 when not.")]
pub(super) struct Arguments {
    /// The component; a manifest `NAME.toml` beside it wins over the one inside
    file: PathBuf,
    /// The settings whose grants and secrets are looked at; without them all needs count as granted
    #[arg(long, env = "TRELLIS_SETTINGS", hide_env_values = true, value_name = "FILE")]
    settings: Option<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let file = &arguments.file;
    let source =
        Source::at(file.clone()).with_context(|| format!("cannot read `{}`", file.display()))?;
    let given = arguments.settings.as_deref();
    let settings = match given {
        Some(path) => settings::load(Some(path), std::env::vars(), &[])?.settings,
        None => Settings {
            grants: Grants { default: DefaultGrant::Needs, ..Grants::default() },
            ..Settings::default()
        },
    };
    let scratch = tempfile::tempdir().context("cannot make a directory to check in")?;
    let checking = check(&source, &settings, given.is_some(), scratch.path());
    let report = serve::runtime()?.block_on(checking)?;
    match output.json {
        true => output.json(&report)?,
        false => output.text(&report.show(output.style()))?,
    }
    match report.refusals.len() {
        0 => Ok(()),
        1 => anyhow::bail!("`{}` would be refused", file.display()),
        count => anyhow::bail!("`{}` would be refused for {count} reasons", file.display()),
    }
}

/// Go as far as the component lets us, and note every reason to refuse it.
async fn check(
    source: &Source,
    settings: &Settings,
    with_secrets: bool,
    scratch: &Path,
) -> anyhow::Result<Report> {
    // A trial leaves nothing behind, on no server either.
    let backends = Backends::open(&settings.backends.embedded(), scratch).await?;
    let loader = loader(settings, &backends, scratch).await?;
    let component = match loader.read(source).await {
        Ok(component) => component,
        Err(error) => return Ok(Report::unreadable(source, &error)),
    };
    let mut report = Report::new(source, &component);
    let on_a_server = settings.backends.sql.backend != sql::Backend::Embedded;
    let Component { manifest, surface, .. } = &component;
    let refusals: Vec<Refusal> = settings.grants.refusals(manifest, &surface.imports).collect();
    // The linker would only say again what is said already.
    let unknown = refusals.iter().any(|refusal| matches!(refusal, Refusal::Unknown { .. }));
    refusals.iter().map(Refused::of_text).for_each(|refused| report.refuse(refused));
    if unknown {
        return Ok(report);
    }
    match loader.compile(component, &source.wasm).await {
        Ok(Loaded { mut blueprint, .. }) if report.refusals.is_empty() => {
            if let (true, Some(sql)) = (on_a_server, &mut blueprint.manifest.needs.sql) {
                // They are written for a database that is not tried here.
                sql.migrations = None;
            }
            if let Err(error) = prepare(&loader, blueprint, with_secrets).await {
                report.refuse(Refused::of(&error));
            }
        }
        Ok(_) => {}
        Err(error) => report.refuse(Refused::of(&error)),
    }
    Ok(report)
}

/// Ask the triggers, create its topics, apply its migrations, and read its secrets. Without the
/// operator's settings nobody knows where the secrets are.
async fn prepare(
    loader: &Loader,
    mut blueprint: Blueprint,
    with_secrets: bool,
) -> anyhow::Result<()> {
    checks(true).iter().try_for_each(|check| check.claims(&blueprint).map(drop))?;
    if !with_secrets {
        without_secrets(&mut blueprint.manifest);
    }
    let alone = Default::default();
    loader.generation(blueprint, alone, 1).await.map(drop)
}

fn without_secrets(manifest: &mut Manifest) {
    if let Some(config) = &mut manifest.needs.config {
        config.secrets.clear();
    }
}
