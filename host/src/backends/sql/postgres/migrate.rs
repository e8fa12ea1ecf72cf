//! Bringing a schema to that of a generation.
//!
//! What was applied stands in `_trellis_migrations`. All that is missing is applied in one
//! transaction, as the plugin's role, behind the lock that the plugin's transactions take: hosts
//! that load the same plugin at the same time apply it once.

use std::sync::Arc;

use super::{
    connection::Connection,
    pool::{Room, Taken},
    schema::Tables,
};
use crate::backends::sql::{
    Dialect, Error, Migration, MigrationError, Result, Value,
    history::{checksum, missing, named},
    text::Text,
};

type Outcome<T> = std::result::Result<T, MigrationError>;

/// See [`crate::backends::sql::Database::migrate`].
pub async fn migrate(
    room: &Arc<Room>,
    tables: &Arc<Tables>,
    migrations: &[Migration],
) -> Outcome<()> {
    let mut taken = room.take().await?;
    let applied = applied(taken.connection()?, tables).await?;
    if missing(&applied, migrations)?.is_empty() {
        return Ok(());
    }
    drop(taken);
    let lock = tables.turn.clone().lock_owned().await;
    // Dropped on failure, which rolls back.
    let mut taken = room.take().await?;
    taken.keep(lock);
    taken.inside(true);
    apply_all(&mut taken, tables, migrations).await?;
    taken.inside(false);
    room.redefined();
    Ok(())
}

async fn apply_all(taken: &mut Taken, tables: &Tables, migrations: &[Migration]) -> Outcome<()> {
    let connection = taken.connection()?;
    // Large tables take their time, but not while everybody waits for a lock that somebody holds.
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'; \
         LOCK TABLE {} IN EXCLUSIVE MODE",
        tables.turns
    );
    connection.run(&begin).await?;
    // Another host may have been faster.
    let applied = applied(connection, tables).await?;
    for migration in missing(&applied, migrations)? {
        apply(connection, tables, migration).await.map_err(|error| named(migration, error))?;
    }
    Ok(connection.run("COMMIT").await?)
}

/// Name and checksum of what was applied, in order.
async fn applied(connection: &mut Connection, tables: &Tables) -> Result<Vec<(String, String)>> {
    let sql = format!("SELECT name, checksum FROM {} ORDER BY position", tables.migrations);
    let rows = connection.ask(&sql, Vec::new()).await?;
    rows.into_iter()
        .map(|row| match <[Value; 2]>::try_from(row) {
            Ok([Value::Text(name), Value::Text(checksum)]) => Ok((name, checksum)),
            _ => Err(Error::Invalid("the table `_trellis_migrations` was changed".into())),
        })
        .collect()
}

async fn apply(connection: &mut Connection, tables: &Tables, migration: &Migration) -> Result<()> {
    for text in Text::many(Dialect::Postgres, &migration.sql)? {
        let plan = connection.plan(&text).await?;
        connection.execute(&plan, Vec::new()).await?;
    }
    let row = vec![Value::Text(migration.name.clone()), Value::Text(checksum(migration))];
    let sql = format!("INSERT INTO {} (name, checksum) VALUES ($1, $2)", tables.migrations);
    connection.ask(&sql, row).await.map(drop)
}
