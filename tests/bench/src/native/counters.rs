//! What the plugin `counters` does, straight on the log and on a database of its own.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use counters::Counts;
use trellis::backends::{
    log::{Batch, Reader, embedded::Embedded},
    sql::{
        Database, Databases, Migration, Place, Statement, Value,
        sqlite::{Settings, Sqlite},
    },
};
use trellis_sdk::sql::{Param, Statement as GuestStatement};

use super::reading;

/// Who has finished what, in the database.
const GROUP: &str = "native-counters";
const TOPIC: &str = "events";

/// Count everything; the seconds it took.
pub async fn run(log: &Embedded, data: &Path) -> Result<f64> {
    let databases = Sqlite::open(Settings::default(), &data.join("native"))?;
    let database = databases.open("counters").await?;
    let sql = include_str!("../../../../plugins/counters/migrations/0001_counters.sql");
    database.migrate(&[Migration { name: "0001_counters.sql".into(), sql: sql.into() }]).await?;
    reading::run(log, TOPIC, GROUP, |reader, end| partition(reader, end, Arc::clone(&database)))
        .await
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
        let statements = statements(&batch)?;
        let mut transaction = database.begin().await?;
        transaction.batch(statements).await?;
        let place = Place { group: GROUP, topic: TOPIC, partition: number };
        transaction.store_offset(place, done, batch.next).await?;
        transaction.commit().await?;
        done = batch.next;
    }
    Ok(())
}

fn statements(batch: &Batch) -> Result<Vec<Statement>> {
    let mut counts = Counts::default();
    for record in batch.records() {
        counts.add(record.tail.value().unwrap_or_default(), record.timestamp_ms)?;
    }
    Ok(counters::upserts(&counts, |statements| statements.iter().map(statement).collect()))
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
