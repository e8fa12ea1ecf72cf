//! `[needs.sql] migrations`: a directory while a plugin is written, the texts themselves once it
//! is one file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Migration;

/// Where a plugin's migrations are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Migrations {
    /// In a directory beside the manifest: its files that end in `.sql`, ordered by name.
    Directory(PathBuf),
    /// In the manifest itself, in order: `[{ name = "0001_create.sql", sql = "..." }]`.
    Inline(Vec<Migration>),
}

/// A migration could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the migrations in `{}`: {reason}", path.display())]
pub struct Unreadable {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub reason: io::Error,
}

impl Migrations {
    /// The migrations themselves; a directory is looked for from `base`, where the manifest is.
    pub fn inline(&self, base: &Path) -> Result<Vec<Migration>, Unreadable> {
        match self {
            Self::Inline(list) => Ok(list.clone()),
            Self::Directory(directory) => read(&base.join(directory)),
        }
    }
}

fn read(directory: &Path) -> Result<Vec<Migration>, Unreadable> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |reason| Unreadable { path, reason }
    };
    let mut list = Vec::new();
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let path = entry.map_err(at(directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(".sql") && !name.starts_with('.') {
            let sql = fs::read_to_string(&path).map_err(at(&path))?;
            list.push(Migration { name: name.to_owned(), sql });
        }
    }
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(list)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::capabilities::sql::Grant;

    #[test]
    fn a_directory_is_read_by_name_and_other_files_are_left_alone() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("migrations");
        fs::create_dir(&directory).unwrap();
        for name in ["0002_more.sql", "0001_first.sql", "README.md", ".0003.sql"] {
            fs::write(directory.join(name), name).unwrap();
        }
        let grant: Grant = toml::from_str("migrations = \"migrations\"").unwrap();
        let list = grant.migrations.unwrap().inline(base.path()).unwrap();
        let names: Vec<_> = list.iter().map(|migration| migration.name.as_str()).collect();
        assert_eq!(names, ["0001_first.sql", "0002_more.sql"]);
    }

    #[test]
    fn an_inline_list_survives_the_embedded_manifest() {
        let migration = Migration { name: "0001.sql".into(), sql: "CREATE TABLE t (a)".into() };
        let grant = Grant { migrations: Some(Migrations::Inline(vec![migration])) };
        let text = toml::to_string(&grant).unwrap();
        assert_eq!(toml::from_str::<Grant>(&text).unwrap(), grant);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let migrations = Migrations::Directory("nowhere".into());
        let error = migrations.inline(Path::new("/base")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the migrations in `/base/nowhere`: "), "{error}");
    }
}
