//! A real server for the tests of what stands on it.

#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use sqlx::AssertSqlSafe;

use super::{Server, Settings, options, quoted};
use crate::secret::Source;

pub use servers::Postgres;

/// One server for all tests of this process; each has a database of its own there.
fn shared() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(None))
}

/// How the user of a server comes in. The password lies in a file beside what the test keeps.
pub fn settings(postgres: &Postgres, directory: &Path) -> Settings {
    let password = directory.join("password");
    std::fs::write(&password, postgres.password()).unwrap();
    Settings {
        host: Some(postgres.host().to_owned()),
        port: postgres.port(),
        database: postgres.database().to_owned(),
        user: postgres.user().to_owned(),
        password: Some(Source::File(password)),
        ..Settings::default()
    }
}

/// How to reach the shared server's database that belongs to a directory, made the first time.
pub async fn own_database(directory: &Path) -> Settings {
    let postgres = tokio::task::spawn_blocking(shared).await.unwrap();
    let settings = settings(postgres, directory);
    let name = directory.file_name().unwrap().to_string_lossy().into_owned();
    let mut connection =
        super::connect(&options(&settings).await.unwrap(), &settings).await.unwrap();
    let create = format!("CREATE DATABASE {}", quoted(&name));
    let made = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await;
    assert!(
        made.as_ref().err().and_then(|e| e.as_database_error()?.code().map(|c| c == "42P04"))
            != Some(false)
    );
    Settings { database: name, ..settings }
}

/// The server, with the database that belongs to a directory.
pub async fn server(directory: &Path) -> Arc<Server> {
    Server::open(own_database(directory).await).await.unwrap()
}
