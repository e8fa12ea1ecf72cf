//! Text to [`Manifest`] and back.

use std::{fs, path::Path};

use super::{
    Http, Manifest, Problem, check,
    problem::{self, Fault},
};
use crate::capabilities::sql::Migrations;

/// Read a manifest. `file` is the name that problems are reported under.
pub fn read(text: &str, file: &str) -> Result<Manifest, Problem> {
    let manifest: Manifest = problem::parse(text, file)?;
    check(&manifest).map_err(|fault| Problem::locate(fault, text, file))?;
    Ok(manifest)
}

/// Read a manifest file with what it refers to: the directory of its migrations is looked for
/// beside it, and their texts take its place.
pub fn read_file(path: &Path) -> Result<Manifest, Problem> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| Problem {
        file: file.clone(),
        message: format!("the manifest cannot be read: {error}"),
        hint: None,
        place: None,
    })?;
    let mut manifest = read(&text, &file)?;
    if let Some(migrations) = manifest.needs.sql.as_mut().and_then(|sql| sql.migrations.as_mut()) {
        let base = path.parent().unwrap_or(Path::new("."));
        let texts = migrations.inline(base).map_err(|error| {
            let fault = Fault {
                path: vec!["needs".into(), "sql".into(), "migrations".into()],
                message: error.to_string(),
                hint: "name a directory of `.sql` files beside the manifest".into(),
            };
            Problem::locate(fault, &text, &file)
        })?;
        *migrations = Migrations::Inline(texts);
    }
    Ok(manifest)
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
