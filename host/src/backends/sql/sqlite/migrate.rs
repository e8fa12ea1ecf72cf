//! Bringing a database to the schema of a generation.
//!
//! What was applied stands in the table `_trellis_migrations`, with a checksum of its text. All
//! that is missing is applied in one transaction, which also holds the table's new rows, so a
//! failure anywhere leaves the database as it was for the generation that still serves.

use std::sync::Arc;

use super::{
    connection::{Connection, Role},
    pool::Pool,
};
use crate::backends::sql::{
    Dialect, Error, Migration, MigrationError, Result, Value,
    history::{checksum, missing, named},
    text::Text,
};

type Outcome<T> = std::result::Result<T, MigrationError>;

/// See [`crate::backends::sql::Database::migrate`].
pub async fn migrate(pool: &Arc<Pool>, migrations: &[Migration]) -> Outcome<()> {
    // Nothing is written meanwhile.
    let mut writer = pool.writer().await?;
    let missing = missing(&applied(writer.connection()?).await?, migrations)?;
    if missing.is_empty() {
        return Ok(());
    }
    // Dropped on failure, which rolls back.
    let mut connection = pool.connect(Role::Migrator).await?;
    connection.run("BEGIN IMMEDIATE", Vec::new()).await?;
    for migration in missing {
        apply(&mut connection, migration).await.map_err(|error| named(migration, error))?;
    }
    connection.run("COMMIT", Vec::new()).await?;
    pool.redefined();
    Ok(())
}

/// Name and checksum of what was applied, in order.
async fn applied(connection: &mut Connection) -> Result<Vec<(String, String)>> {
    connection
        .run(
            "CREATE TABLE IF NOT EXISTS _trellis_migrations (
                position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
                checksum TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
            )",
            Vec::new(),
        )
        .await?;
    let rows = connection
        .run("SELECT name, checksum FROM main._trellis_migrations ORDER BY position", Vec::new())
        .await?;
    rows.into_iter()
        .map(|row| match <[Value; 2]>::try_from(row) {
            Ok([Value::Text(name), Value::Text(checksum)]) => Ok((name, checksum)),
            _ => Err(Error::Invalid("the table `_trellis_migrations` was changed".into())),
        })
        .collect()
}

async fn apply(connection: &mut Connection, migration: &Migration) -> Result<()> {
    for text in Text::many(Dialect::Sqlite, &migration.sql)? {
        connection.execute(&text, Vec::new()).await?;
    }
    let broken = connection.run("SELECT \"table\" FROM pragma_foreign_key_check", Vec::new());
    if let Some([Value::Text(table), ..]) = broken.await?.first().map(Vec::as_slice) {
        return Err(Error::Constraint(format!("FOREIGN KEY constraint failed in table `{table}`")));
    }
    let row = vec![Value::Text(migration.name.clone()), Value::Text(checksum(migration))];
    connection
        .run("INSERT INTO main._trellis_migrations (name, checksum) VALUES ($1, $2)", row)
        .await
        .map(drop)
}
