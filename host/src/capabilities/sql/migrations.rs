//! `[needs.sql] migrations`: a directory while a plugin is written, the texts themselves once it
//! is one file.
//!
//! Where the dialects differ, a migration has a text for each: `0001_create.sqlite.sql` and
//! `0001_create.postgres.sql`, or one of these beside a `0001_create.sql` for the other. The database
//! knows all of them as `0001_create.sql`, so a text for a further dialect may come later.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Migration;
use crate::backends::sql::Dialect;

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

/// Those of a generation's migrations that are for a dialect, under the names that all dialects
/// share. The order stays.
pub fn spoken(all: Vec<Migration>, dialect: Dialect) -> Vec<Migration> {
    let named: Vec<(String, Option<Dialect>)> =
        all.iter().map(|migration| name_and_dialect(&migration.name)).collect();
    let own = |name: &str| named.iter().any(|(other, of)| other == name && *of == Some(dialect));
    let chosen = all.into_iter().zip(&named).filter(|(_, (name, of))| match of {
        Some(of) => *of == dialect,
        None => !own(name),
    });
    chosen.map(|(migration, (name, _))| Migration { name: name.clone(), ..migration }).collect()
}

/// The name without the dialect before its end, and the dialect.
fn name_and_dialect(name: &str) -> (String, Option<Dialect>) {
    let (stem, end) = match name.strip_suffix(".sql") {
        Some(stem) => (stem, ".sql"),
        None => (name, ""),
    };
    for (suffix, dialect) in [(".sqlite", Dialect::Sqlite), (".postgres", Dialect::Postgres)] {
        if let Some(stem) = stem.strip_suffix(suffix) {
            return (format!("{stem}{end}"), Some(dialect));
        }
    }
    (name.to_owned(), None)
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
        let grant =
            Grant { migrations: Some(Migrations::Inline(vec![migration])), ..Grant::default() };
        let text = toml::to_string(&grant).unwrap();
        assert_eq!(toml::from_str::<Grant>(&text).unwrap(), grant);
    }

    #[test]
    fn a_dialect_gets_its_own_text_or_the_common_one() {
        let all: Vec<_> = [
            "0001_a.sql",
            "0002_b.postgres.sql",
            "0002_b.sql",
            "0003_c.sqlite.sql",
            "0004.postgres",
            "0005",
        ]
        .map(|name| Migration { name: name.into(), sql: name.into() })
        .into();
        let of = |dialect| -> Vec<(String, String)> {
            let spoken = spoken(all.clone(), dialect).into_iter();
            spoken.map(|migration| (migration.name, migration.sql)).collect()
        };
        let pair = |name: &str, sql: &str| (name.to_owned(), sql.to_owned());
        assert_eq!(
            of(Dialect::Postgres),
            [
                pair("0001_a.sql", "0001_a.sql"),
                pair("0002_b.sql", "0002_b.postgres.sql"),
                pair("0004", "0004.postgres"),
                pair("0005", "0005"),
            ]
        );
        assert_eq!(
            of(Dialect::Sqlite),
            [
                pair("0001_a.sql", "0001_a.sql"),
                pair("0002_b.sql", "0002_b.sql"),
                pair("0003_c.sql", "0003_c.sqlite.sql"),
                pair("0005", "0005"),
            ]
        );
    }

    #[test]
    fn a_missing_directory_is_named() {
        let migrations = Migrations::Directory("nowhere".into());
        let error = migrations.inline(Path::new("/base")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the migrations in `/base/nowhere`: "), "{error}");
    }
}
