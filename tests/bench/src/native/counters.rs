//! What the plugin `counters` does, straight on the log and on a database of its own.

use std::{ops::Range, path::Path, sync::Arc};

use anyhow::Result;
use counters::Counts;
use trellis::backends::{
    log::{Reader, embedded::Embedded},
    sql::{Database, Databases, Migration, Place, Settings, Statement, Value, sqlite::Sqlite},
};
use trellis_sdk::sql::{Param, Statement as GuestStatement};

use super::reading;

/// Who has finished what, in the database.
const GROUP: &str = "native-counters";
/// What is counted.
pub const TOPIC: &str = "events";

/// Count everything; the seconds it took.
pub async fn run(log: &Embedded, data: &Path) -> Result<f64> {
    let database = database(data).await?;
    reading::run(log, TOPIC, GROUP, |reader, end| partition(reader, end, Arc::clone(&database)))
        .await
}

/// A database of its own under a data directory, with the plugin's tables.
pub async fn database(data: &Path) -> Result<Arc<dyn Database>> {
    let databases = Sqlite::open(Settings::default(), &data.join("native"))?;
    let database = databases.open("counters").await?;
    let sql = include_str!("../../../../plugins/counters/migrations/0001_counters.sql");
    database.migrate(&[Migration { name: "0001_counters.sql".into(), sql: sql.into() }]).await?;
    Ok(database)
}

/// One transaction a batch: what it counted, and how far it goes.
async fn partition(
    mut reader: Box<dyn Reader>,
    end: u64,
    database: Arc<dyn Database>,
) -> Result<()> {
    let number = reader.partition().partition;
    let mut done = 0;
    while done < end {
        let batch = reader.next(reading::batches_of(4000)).await?;
        let mut counts = Counts::default();
        for record in batch.records() {
            counts.add(record.tail.value().unwrap_or_default(), record.timestamp_ms)?;
        }
        store(&*database, &counts, number, done..batch.next).await?;
        done = batch.next;
    }
    Ok(())
}

/// What was counted in these offsets of a partition, and that it was.
pub async fn store(
    database: &dyn Database,
    counts: &Counts<'_>,
    partition: u32,
    offsets: Range<u64>,
) -> Result<()> {
    let statements = counters::upserts(counts, |all| all.iter().map(statement).collect());
    let mut transaction = database.begin().await?;
    transaction.batch(statements).await?;
    let place = Place { group: GROUP, topic: TOPIC, partition };
    transaction.store_offset(place, offsets.start, offsets.end).await?;
    Ok(transaction.commit().await?)
}

/// As the host takes a statement from a guest.
fn statement(statement: &GuestStatement<'_>) -> Statement {
    let params = statement.params.iter().map(|param| match param {
        Param::Null => Value::Null,
        Param::Boolean(value) => Value::Boolean(*value),
        Param::Integer(value) => Value::Integer(*value),
        Param::Real(value) => Value::Real(*value),
        Param::Text(text) => Value::Text((*text).to_owned()),
        Param::Blob(bytes) => Value::Blob(bytes.to_vec()),
    });
    Statement::new(statement.sql, params.collect())
}
