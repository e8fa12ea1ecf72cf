//! The contract against a real server, and what only PostgreSQL promises.

#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use super::Postgres;
use crate::backends::{
    postgres::{Server, testing},
    sql::{Database, Databases, Error, Statement, Value},
};

mod escape;
mod outage;
mod together;
mod values;

async fn open(directory: &Path) -> Arc<dyn Databases> {
    Arc::new(Postgres::new(testing::server(directory).await).unwrap())
}

super::super::contract::contract!(super::open);

fn on(sql: &str) -> Statement {
    Statement::new(sql, Vec::new())
}

fn with(sql: &str, params: impl Into<Vec<Value>>) -> Statement {
    Statement::new(sql, params.into())
}

/// The only value of the only row.
async fn one(database: &Arc<dyn Database>, sql: &str) -> Result<Value, Error> {
    let mut rows = database.query(on(sql)).await?.rows;
    assert_eq!(rows.len(), 1, "{sql}");
    Ok(rows.remove(0).remove(0))
}

/// A database with the table `t`, of a plugin that nobody else opens.
async fn with_table(directory: &Path) -> Arc<dyn Database> {
    let database = open(directory).await.open("p").await.unwrap();
    database.execute(on("CREATE TABLE t (a INTEGER UNIQUE)")).await.unwrap();
    database
}
