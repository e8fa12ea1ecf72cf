//! Text to [`Manifest`] and back.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    Http, Manifest, Problem, check,
    problem::{self, Fault, Step},
};
use crate::capabilities::sql::Migrations;

/// The largest manifest file: a large one is some pages and the texts of migrations.
const MAX_FILE: u64 = 4 << 20;

/// Read a manifest. `file` is the name that problems are reported under.
pub fn read(text: &str, file: &str) -> Result<Manifest, Problem> {
    let manifest: Manifest = problem::parse(text, file)?;
    check(&manifest).map_err(|fault| Problem::locate(fault, text, file))?;
    Ok(manifest)
}

/// Read a manifest that came inside a component. It may come from anywhere, so it says nothing
/// about directories of this machine.
pub fn read_embedded(text: &str, file: &str) -> Result<Manifest, Problem> {
    let manifest = read(text, file)?;
    let migrations = manifest.needs.sql.as_ref().and_then(|sql| sql.migrations.as_ref());
    if let Some(Migrations::Directory(directory)) = migrations {
        let directory = directory.display();
        let fault = migrations_fault(
            format!(
                "the migrations of an embedded manifest cannot be in a directory, `{directory}`"
            ),
            "embed it with `trellis build`, which puts their texts in",
        );
        return Err(Problem::locate(fault, text, file));
    }
    Ok(manifest)
}

fn migrations_fault(message: String, hint: &str) -> Fault {
    Fault::new(["needs", "sql", "migrations"].map(Step::from), message, hint)
}

/// The text of a manifest file.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    let read = || {
        let mut text = String::new();
        let length = File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
        match length as u64 > MAX_FILE {
            true => Err(io::Error::other(format!("it is larger than {MAX_FILE} bytes"))),
            false => Ok(text),
        }
    };
    read().map_err(|error| Problem {
        file: path.display().to_string(),
        message: format!("the manifest cannot be read: {error}"),
        hint: None,
        place: None,
    })
}

/// Read the text of a manifest file with what it refers to: the directory of its migrations is
/// looked for beside the file, and their texts take its place.
pub fn read_sidecar(text: &str, path: &Path) -> Result<Manifest, Problem> {
    let file = path.display().to_string();
    let mut manifest = read(text, &file)?;
    if let Some(migrations) = manifest.needs.sql.as_mut().and_then(|sql| sql.migrations.as_mut()) {
        let base = path.parent().unwrap_or(Path::new("."));
        let texts = migrations.inline(base).map_err(|error| {
            let hint = "name a directory of `.sql` files beside the manifest";
            let fault = migrations_fault(error.to_string(), hint);
            Problem::locate(fault, text, &file)
        })?;
        *migrations = Migrations::Inline(texts);
    }
    Ok(manifest)
}

/// Read a manifest file: its text, and what that refers to.
pub fn read_file(path: &Path) -> Result<Manifest, Problem> {
    read_sidecar(&read_text(path)?, path)
}

impl Manifest {
    /// What a component without a manifest gets: a name, its HTTP handler at `/<name>/`, no
    /// grants.
    pub fn default_for(name: &str) -> Self {
        let routes = vec![format!("/{name}"), format!("/{name}/{{*path}}")];
        Self {
            name: name.to_owned(),
            version: None,
            description: None,
            http: Some(Http { routes, ..Http::default() }),
            connect: None,
            listen: Vec::new(),
            schedule: Vec::new(),
            consume: Vec::new(),
            needs: Default::default(),
            config: Default::default(),
            limits: Default::default(),
            topics: Default::default(),
        }
    }

    /// The manifest as a text that [`read`] reads back, with every default written out.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a manifest consists of tables, texts and numbers")
    }
}
