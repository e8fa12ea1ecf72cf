//! `reload-languages`: one line of a project of `trellis new` is changed while it serves, its
//! toolchain runs, and the file that this made replaces the one that serves.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::Bench;
use crate::{
    built::{self, Built},
    house::House,
    process::PATIENCE,
    report::{Against, Row, median, milliseconds},
};

/// The languages of `trellis new`.
const LANGUAGES: [&str; 6] = ["rust", "typescript", "javascript", "python", "go", "c"];
/// How often a line is changed.
const CHANGES: usize = 5;
/// What a swap may take where the component is the plugin's own code, in milliseconds.
const LIMIT_MS: f64 = 100.0;
/// The same where the runtime of a language is in the component.
const ENGINE_LIMIT_MS: f64 = 2000.0;

/// The project that answers `{"hello": "ada"}`, in some language.
pub struct Greeter {
    program: PathBuf,
    dir: TempDir,
}

impl Greeter {
    /// Make the project.
    pub fn new(built: &Built, language: &str) -> Result<Self> {
        let made = Self { program: built.program(), dir: tempfile::tempdir()? };
        let mut new = Command::new(&made.program);
        new.args(["new", "greeter", "--lang", language, "--dir"]).arg(made.folder());
        built::run(&mut new)?;
        Ok(made)
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("greeter")
    }

    /// Build it.
    pub fn component(&self) -> Result<Vec<u8>> {
        let mut build = Command::new(&self.program);
        build.arg("build").arg(self.folder()).arg("--out").arg(self.dir.path());
        built::run(&mut build)?;
        Ok(fs::read(self.dir.path().join("greeter.wasm"))?)
    }

    /// Let it say another word instead of this one.
    fn reword(&self, from: &str, to: &str) -> Result<()> {
        for name in ["src/lib.rs", "plugin.ts", "plugin.js", "plugin.py", "main.go", "plugin.c"] {
            let path = self.folder().join(name);
            if let Ok(source) = fs::read_to_string(&path) {
                ensure!(source.contains(from), "{} does not say `{from}`", path.display());
                return Ok(fs::write(path, source.replace(from, to))?);
            }
        }
        bail!("{} has no source that is known", self.folder().display())
    }
}

/// A row a language: from the file of a changed version to its first answer.
pub async fn reload(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for language in LANGUAGES {
        let row = reload_in(bench, language).await;
        rows.push(row.with_context(|| format!("the language `{language}`"))?);
    }
    Ok(rows)
}

async fn reload_in(bench: &Bench, language: &str) -> Result<Row> {
    let greeter = Greeter::new(&bench.built, language)?;
    let mut house = House::new(&bench.built, None, "")?;
    house.run().await?;
    let mut word = "hello".to_owned();
    let first = swap(&house, &greeter.component()?, &word).await?;
    let mut changed = Vec::new();
    for number in 1..=CHANGES {
        let next = format!("hello{number}");
        greeter.reword(&word, &next)?;
        word = next;
        changed.push(swap(&house, &greeter.component()?, &word).await?);
    }
    house.stop().await?;
    let limit = if matches!(language, "rust" | "c") { LIMIT_MS } else { ENGINE_LIMIT_MS };
    let most = changed.iter().copied().fold(0.0, f64::max);
    Ok(Row {
        less_is_better: true,
        against: Against::Limit(limit),
        note: format!(
            "p50 of {CHANGES} changes of a line, most {most:.0} · the first version {first:.0} ms \
             · limit {limit:.0} ms"
        ),
        ..Row::new(format!("reload-{language}"), "ms", median(&changed))
    })
}

/// The milliseconds from the file of a version to the first answer with its word.
async fn swap(house: &House, component: &[u8], word: &str) -> Result<f64> {
    let begun = Instant::now();
    house.install("greeter.wasm", component)?;
    until_said(house, word).await?;
    Ok(milliseconds(begun))
}

/// Ask until the word of a version is in the answer.
async fn until_said(house: &House, word: &str) -> Result<()> {
    let (url, begun) = (house.url("/greeter/ada"), Instant::now());
    let said = format!("\"{word}\":");
    loop {
        let (status, body) = house.client.get(&url).await?;
        if status.is_success() && String::from_utf8_lossy(&body).replace(' ', "").contains(&said) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("the version with `{word}` is not served:\n{}", house.said());
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}
