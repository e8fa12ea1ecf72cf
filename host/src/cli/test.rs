//! `trellis test`: try plugins with their cases, in this process.
//!
//! ```text
//!  sources ── build ── component ──┐
//!     └─ cases/*.json ── read ─────┴─ play ── report, or written into the file
//! ```

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;

use super::{
    Hinted,
    build::{self, Progress, source::Source},
    output::Output,
    serve::runtime,
};
use crate::{
    cases::{self, Outcome, Plugin, Stage, Verdict},
    manifest,
};

mod report;

use report::Report;

/// Try plugins with their cases
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  trellis test                                every plugin below `plugins`
  trellis test plugins/tracker                one of them
  trellis test plugins/tracker --case batch   its cases whose name has `batch`
  trellis test plugins/tracker --update       expect what was seen

The cases of a plugin are the files cases/*.json in its folder. Each is tried from a
clean state, in this process: no ports, nothing is kept, no other host is called. The
clock stands and what is random is the same each time. The exit code is 0 when all
is as expected, 1 when not.")]
pub(super) struct Arguments {
    /// Folders of plugins, or folders above them
    #[arg(default_value = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Only the cases whose name has this in it
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Write what was seen into the cases
    #[arg(long)]
    update: bool,
    /// Take the components as they were built last
    #[arg(long)]
    no_build: bool,
    /// Where the components are
    #[arg(long, default_value = "target/plugins", value_name = "DIR")]
    out: PathBuf,
}

/// A plugin with its cases.
struct Tested {
    source: Source,
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: Arguments, output: &Output) -> anyhow::Result<()> {
    let tested = arguments.tested()?;
    let progress = Progress::new(output.error_style());
    let stage = Stage::open(cache()?)?;
    let runtime = runtime()?;
    let mut report = Report::new(output, arguments.update);
    let mut plugins = Vec::new();
    for Tested { source, files } in &tested {
        let (name, wasm) = match arguments.component(source, &progress) {
            Ok(built) => built,
            Err(error) => {
                progress.failed(&super::error::report(&error, output.error_style()));
                report.unbuilt();
                continue;
            }
        };
        let plugin = Plugin::new(wasm);
        report.begin(&name);
        progress.doing(&format!("trying {name}"));
        for file in files {
            runtime.block_on(arguments.try_case(&stage, &plugin, file, &mut report, &progress))?;
        }
        progress.clear();
        report.end(&name)?;
        plugins.push(plugin);
    }
    // What is left behind costs room and nothing else.
    let _ = stage.tidy(&plugins);
    report.verdict()
}

impl Arguments {
    /// The plugins that have cases, by path.
    fn tested(&self) -> anyhow::Result<Vec<Tested>> {
        let mut tested = Vec::new();
        for folder in &self.folders {
            for source in build::source::find(folder)? {
                let files = self.files(&source.0.join("cases"))?;
                if !files.is_empty() {
                    tested.push(Tested { source, files });
                }
            }
        }
        if tested.is_empty() {
            let folders: Vec<_> = self.folders.iter().map(|f| f.display().to_string()).collect();
            let named = self.case.iter().map(|name| format!(" whose name has `{name}`"));
            let named: String = named.collect();
            let message = format!("there is no case{named} below `{}`", folders.join("`, `"));
            return Err(Hinted::new(message, "a case is a file `cases/*.json` of a plugin").into());
        }
        Ok(tested)
    }

    /// The cases in a folder, by name; none where there is no folder.
    fn files(&self, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let cannot = || format!("cannot look for cases in `{}`", folder.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let named = self.case.as_ref().is_none_or(|name| stem.contains(name.as_str()));
            if named && path.extension().is_some_and(|end| end == "json") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// The name and the component of a plugin, built unless it is not to be.
    fn component(&self, source: &Source, progress: &Progress) -> anyhow::Result<(String, PathBuf)> {
        if !self.no_build {
            let built = build::build(source, &self.out, progress)?;
            return Ok((built.name, built.file));
        }
        let name = manifest::read_file(&source.manifest())?.name;
        let file = self.out.join(format!("{name}.wasm"));
        if !file.is_file() {
            let message = format!("`{}` is not there", file.display());
            return Err(Hinted::new(message, "leave `--no-build` out, or say `--out DIR`").into());
        }
        Ok((name, file))
    }

    async fn try_case(
        &self,
        stage: &Stage,
        plugin: &Plugin,
        file: &Path,
        report: &mut Report<'_>,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let cannot = || format!("cannot read `{}`", file.display());
        let text = fs::read_to_string(file).with_context(cannot)?;
        let name = file.display().to_string();
        let case = match cases::read(&name, &text) {
            Ok(case) => case,
            Err(problem) => return report.unreadable(problem.into()),
        };
        let mut outcome = cases::play(stage, plugin, &case, self.update).await;
        progress.clear();
        let updated = self.update && update(&name, &text, &mut outcome)?;
        report.case(&name, &outcome, updated)
    }
}

/// Write what was seen into the file of a case; whether anything has changed. Its steps are as
/// expected from then on, but for those that could not be taken.
fn update(name: &str, text: &str, outcome: &mut Outcome) -> anyhow::Result<bool> {
    let seen: Vec<_> = outcome.taken.iter().map(|step| step.seen.clone()).collect();
    let updated = cases::update(name, text, &seen)?;
    if updated != text {
        fs::write(name, &updated).with_context(|| format!("cannot write `{name}`"))?;
    }
    for step in &mut outcome.taken {
        if matches!(step.verdict, Verdict::Differs { .. }) {
            step.verdict = Verdict::Passed;
        }
    }
    Ok(updated != text)
}

/// Where compiled code is kept from run to run.
fn cache() -> anyhow::Result<PathBuf> {
    let own = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || own("HOME").map(|home| home.join(".cache"));
    let caches = own("XDG_CACHE_HOME").or_else(home);
    Ok(caches.context("there is no home for the cache; set `XDG_CACHE_HOME`")?.join("trellis"))
}

/// As people read it.
fn shown(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..10_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
