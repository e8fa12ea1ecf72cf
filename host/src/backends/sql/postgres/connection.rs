//! One connection, which is one plugin's for as long as it lives.
//!
//! A statement that is not read to its end, because its future was dropped or its answer was too
//! large, still runs in the server: such a connection is not used again, and the pool has the
//! server end it.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Column, Either, Executor, PgConnection, Row, SqlSafeStr, Statement as _,
    postgres::{PgArguments, PgColumn, PgQueryResult, PgRow},
};
use tokio::time::Instant;

use super::{
    column, failure,
    param::{Slot, arguments, natural},
    plan::Plan,
};
use crate::backends::{
    postgres::Failure,
    sql::{
        Error, Result, Rows, Value,
        answer::Answer,
        text::{Kind, Text},
    },
};

/// Which session of the server's it is; process ids come again.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// The server's process.
    pub pid: i32,
    /// When it began, in microseconds.
    pub since: i64,
}

/// A connection.
pub struct Connection {
    raw: PgConnection,
    /// Which one it is.
    pub session: Session,
    /// A statement runs, or its future was dropped.
    busy: bool,
    /// It has statements compiled for tables that have changed since.
    pub stale: bool,
    /// The schema for which its statements are compiled.
    pub schema: u64,
    /// When it was put back last.
    pub idle_since: Instant,
}

impl Connection {
    /// Take an open connection over.
    pub async fn new(mut raw: PgConnection, schema: u64) -> Result<Self> {
        let row = raw
            .fetch_one(
                "SELECT pid, (extract(epoch FROM backend_start) * 1000000)::BIGINT
                 FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()",
            )
            .await
            .map_err(|error| failure(&error))?;
        let broken = |error| failure(&error);
        let session = Session {
            pid: row.try_get(0).map_err(broken)?,
            since: row.try_get(1).map_err(broken)?,
        };
        Ok(Self { raw, session, busy: false, stale: false, schema, idle_since: Instant::now() })
    }

    /// Whether it may be used again.
    pub fn is_sound(&self) -> bool {
        !self.busy && !self.stale
    }

    /// Run texts of the host's own, one trip for all.
    pub async fn run(&mut self, sql: &str) -> Result<()> {
        self.busy = true;
        let text = sqlx::raw_sql(AssertSqlSafe(sql));
        let outcome = text.execute(&mut self.raw).await.map(drop);
        self.settle(outcome)
    }

    /// Run a statement of the host's own.
    pub async fn ask(&mut self, sql: &str, params: Vec<Value>) -> Result<Vec<Vec<Value>>> {
        let mut rows = Rows::default();
        let arguments = arguments(&natural(&params), params)?;
        self.drive(sql.into(), arguments, Collect::rows(&mut rows)).await?;
        Ok(rows.rows)
    }

    /// Run a statement and collect its rows.
    pub async fn query(&mut self, plan: &Plan, params: Vec<Value>) -> Result<Rows> {
        let mut rows = Rows::default();
        let arguments = plan.arguments(params)?;
        self.drive(plan.sql.clone(), arguments, Collect::rows(&mut rows)).await?;
        if rows.rows.is_empty() {
            // Compiled a moment ago, so this asks the server nothing.
            let (_, columns) = self.compile(&plan.sql).await?;
            rows.columns = columns;
        }
        Ok(rows)
    }

    /// Run a statement; the rows it changed.
    pub async fn execute(&mut self, plan: &Plan, params: Vec<Value>) -> Result<u64> {
        let mut changed = 0;
        let arguments = plan.arguments(params)?;
        self.drive(plan.sql.clone(), arguments, Collect::Changes(&mut changed)).await?;
        // A query counts the rows that it reads.
        Ok(if plan.kind == Kind::Write { changed } else { 0 })
    }

    /// How a statement is to be run here.
    pub async fn plan(&mut self, text: &Text) -> Result<Plan> {
        if text.params == 0 {
            return Ok(Plan { sql: text.sql.clone(), kind: text.kind, slots: Vec::new() });
        }
        let (types, _) = self.compile(&text.sql).await?;
        let slots: Vec<Slot> = types.iter().map(|oid| Slot::of(*oid)).collect();
        let mut casts = Vec::new();
        for (slot, oid) in slots.iter().zip(types) {
            casts.push(match slot {
                Slot::Cast => Some(self.name_of(oid).await?),
                _ => None,
            });
        }
        Ok(Plan::new(text, slots, &casts))
    }

    /// The server's name for a type, as a statement writes it.
    async fn name_of(&mut self, oid: sqlx::postgres::types::Oid) -> Result<String> {
        let sql = "SELECT pg_catalog.format_type($1::OID, NULL)";
        let rows = self.ask(sql, vec![Value::Integer(oid.0.into())]).await?;
        match rows.into_iter().flatten().next() {
            Some(Value::Text(name)) => Ok(name),
            _ => Err(Error::Invalid("a parameter has a type that is gone".into())),
        }
    }

    /// The types of a statement's parameters, and the names of its columns.
    async fn compile(
        &mut self,
        sql: &Arc<str>,
    ) -> Result<(Vec<sqlx::postgres::types::Oid>, Vec<String>)> {
        self.busy = true;
        let compiled = self.raw.prepare(AssertSqlSafe(sql.clone()).into_sql_str()).await;
        let compiled = self.settle(compiled)?;
        let oid = |kind: &sqlx::postgres::PgTypeInfo| kind.oid().unwrap_or_default();
        let types = match compiled.parameters() {
            Some(Either::Left(types)) => types.iter().map(oid).collect(),
            _ => Vec::new(),
        };
        Ok((types, names(compiled.columns())))
    }

    async fn drive(
        &mut self,
        sql: Arc<str>,
        arguments: PgArguments,
        mut into: Collect<'_>,
    ) -> Result<()> {
        self.busy = true;
        let outcome = {
            let mut steps = self.raw.fetch_many(sqlx::query_with(AssertSqlSafe(sql), arguments));
            loop {
                match steps.try_next().await {
                    // The rest of the answer is still on its way.
                    Ok(Some(step)) => into.step(step)?,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        self.settle(outcome)
    }

    /// The connection is free again after an answer or an error of the server's.
    fn settle<T>(&mut self, outcome: sqlx::Result<T>) -> Result<T> {
        let error = match outcome {
            Ok(value) => {
                self.busy = false;
                return Ok(value);
            }
            Err(error) => error,
        };
        let told = Failure::of(&error);
        self.busy = !told.spares_connection(&error);
        self.stale |= told == Failure::Stale;
        Err(super::told(told))
    }

    /// Go on after the server was told to cancel what runs: read what is left of it away.
    pub async fn recover(&mut self, sql: &str) -> Result<()> {
        // The first error may be the cancelled statement's.
        match self.run(sql).await {
            Err(_) => self.run(sql).await,
            Ok(()) => Ok(()),
        }
    }
}

/// Where the answer of a statement goes.
enum Collect<'a> {
    Rows { rows: &'a mut Rows, answer: Answer },
    Changes(&'a mut u64),
}

impl<'a> Collect<'a> {
    fn rows(rows: &'a mut Rows) -> Self {
        Self::Rows { rows, answer: Answer::default() }
    }

    fn step(&mut self, step: Either<PgQueryResult, PgRow>) -> Result<()> {
        match (self, step) {
            (Self::Changes(changed), Either::Left(done)) => **changed = done.rows_affected(),
            (Self::Rows { rows, answer }, Either::Right(row)) => {
                if rows.rows.is_empty() {
                    rows.columns = names(row.columns());
                }
                answer.add(rows, column::values(&row)?)?;
            }
            (Self::Changes(_), Either::Right(_)) | (Self::Rows { .. }, Either::Left(_)) => {}
        }
        Ok(())
    }
}

fn names(columns: &[PgColumn]) -> Vec<String> {
    columns.iter().map(|column| column.name().to_owned()).collect()
}
