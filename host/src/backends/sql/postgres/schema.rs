//! One plugin's schema as its database.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;

use super::{
    migrate,
    pool::{Room, Taken},
    role::Role,
    transaction::{Open, key},
};
use crate::backends::{
    postgres::quoted,
    sql::{
        Database, Dialect, Error, Migration, MigrationError, Place, Result, Rows, Statement,
        Transaction, Value,
        text::{Kind, Text},
    },
};

/// The host's own tables in a plugin's schema.
pub struct Tables {
    /// Whoever holds its lock has the plugin's transactions to itself.
    pub turns: String,
    /// How far groups have come.
    pub offsets: String,
    /// What was applied.
    pub migrations: String,
    /// The transactions of this host wait here.
    pub turn: Arc<Mutex<()>>,
}

impl Tables {
    fn of(role: &Role) -> Self {
        let table = |name: &str| format!("{}.{name}", quoted(&role.schema));
        Self {
            turns: table("_trellis_turn"),
            offsets: table("_trellis_offsets"),
            migrations: table("_trellis_migrations"),
            turn: Arc::default(),
        }
    }
}

/// An open database.
pub struct Schema {
    room: Arc<Room>,
    /// Connections to the server that follows.
    replica: Option<Arc<Room>>,
    tables: Arc<Tables>,
}

impl Schema {
    /// The database of a role that is there.
    pub fn new(role: &Role, room: Arc<Room>, replica: Option<Arc<Room>>) -> Self {
        Self { room, replica, tables: Arc::new(Tables::of(role)) }
    }

    /// Run one statement. One that was compiled for older tables runs again.
    async fn once<T>(
        room: &Arc<Room>,
        statement: &Statement,
        work: impl AsyncFn(&Arc<Room>, &mut Taken, &Text, Vec<Value>) -> Result<T>,
    ) -> Result<T> {
        let text = room.text(&statement.sql)?;
        let mut taken = room.take().await?;
        let outcome = work(room, &mut taken, &text, statement.params.clone()).await;
        if outcome.is_err() && taken.connection()?.stale {
            room.redefined();
            drop(taken);
            let mut taken = room.take().await?;
            return work(room, &mut taken, &text, statement.params.clone()).await;
        }
        if text.kind == Kind::Define {
            room.redefined();
        }
        outcome
    }

    async fn query_in(room: &Arc<Room>, statement: &Statement) -> Result<Rows> {
        let work = async |room: &Arc<Room>, taken: &mut Taken, text: &Text, params| {
            let connection = taken.connection()?;
            let plan = room.plan(text, connection).await?;
            connection.query(&plan, params).await
        };
        Self::once(room, statement, work).await
    }
}

impl Database for Schema {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn migrate<'a>(
        &'a self,
        migrations: &'a [Migration],
    ) -> BoxFuture<'a, std::result::Result<(), MigrationError>> {
        migrate::migrate(&self.room, &self.tables, migrations).boxed()
    }

    fn query(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move { Self::query_in(&self.room, &statement).await }.boxed()
    }

    fn query_behind(&self, statement: Statement) -> BoxFuture<'_, Result<Rows>> {
        async move {
            let text = self.room.text(&statement.sql)?;
            if let (Some(replica), Kind::Read, false) = (&self.replica, text.kind, text.changes) {
                match Self::query_in(replica, &statement).await {
                    // It is away, or the query does more than read: the other server knows.
                    Err(Error::Unavailable(_)) => {}
                    answer => return answer,
                }
            }
            Self::query_in(&self.room, &statement).await
        }
        .boxed()
    }

    fn execute(&self, statement: Statement) -> BoxFuture<'_, Result<u64>> {
        async move {
            let work = async |room: &Arc<Room>, taken: &mut Taken, text: &Text, params| {
                let connection = taken.connection()?;
                let plan = room.plan(text, connection).await?;
                connection.execute(&plan, params).await
            };
            Self::once(&self.room, &statement, work).await
        }
        .boxed()
    }

    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<u64>>> {
        async move {
            let mut open = Open::begin(&self.room, &self.tables).await?;
            let changed = open.batch(statements).await?;
            open.commit().await?;
            Ok(changed)
        }
        .boxed()
    }

    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Transaction>>> {
        async move {
            let open = Open::begin(&self.room, &self.tables).await?;
            Ok(Box::new(open) as Box<dyn Transaction>)
        }
        .boxed()
    }

    fn offset<'a>(&'a self, place: Place<'a>) -> BoxFuture<'a, Result<Option<u64>>> {
        async move {
            // Behind a commit of this place that is under way.
            let sql = format!(
                "SELECT next_offset FROM {}
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3 FOR UPDATE",
                self.tables.offsets
            );
            let mut taken = self.room.take().await?;
            let rows = taken.connection()?.ask(&sql, key(place).into()).await?;
            Ok(match rows.first().and_then(|row| row.first()) {
                Some(Value::Integer(next)) => Some(*next as u64),
                _ => None,
            })
        }
        .boxed()
    }

    fn put_offset<'a>(&'a self, place: Place<'a>, next: u64) -> BoxFuture<'a, Result<()>> {
        async move {
            let mut params = key(place).to_vec();
            params.push(Value::Integer(next as i64));
            let sql = format!(
                "INSERT INTO {} (consumer_group, topic, partition, next_offset)
                 VALUES ($1, $2, $3, $4) ON CONFLICT (consumer_group, topic, partition)
                 DO UPDATE SET next_offset = excluded.next_offset",
                self.tables.offsets
            );
            let mut taken = self.room.take().await?;
            taken.connection()?.ask(&sql, params).await.map(drop)
        }
        .boxed()
    }
}
