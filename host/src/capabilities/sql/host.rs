//! The functions of `trellis:storage/sql`.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType},
};

use super::{Instance, State};
use crate::{
    backends::sql,
    capabilities::Call,
    observe::traces::{self, SpanKind},
};

/// The interface.
pub const INTERFACE: &str = "trellis:storage/sql@0.1.0";

/// `database`.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum Database {
    #[component(name = "sqlite")]
    Sqlite,
    #[component(name = "postgres")]
    Postgres,
}

/// `value`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Value {
    #[component(name = "null")]
    Null,
    #[component(name = "boolean")]
    Boolean(bool),
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "real")]
    Real(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "blob")]
    Blob(Vec<u8>),
}

impl From<Value> for sql::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Boolean(value) => Self::Boolean(value),
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value),
            Value::Text(value) => Self::Text(value),
            Value::Blob(value) => Self::Blob(value),
        }
    }
}

impl From<sql::Value> for Value {
    fn from(value: sql::Value) -> Self {
        match value {
            sql::Value::Null => Self::Null,
            sql::Value::Boolean(value) => Self::Boolean(value),
            sql::Value::Integer(value) => Self::Integer(value),
            sql::Value::Real(value) => Self::Real(value),
            sql::Value::Text(value) => Self::Text(value),
            sql::Value::Blob(value) => Self::Blob(value),
        }
    }
}

/// `rows`.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl From<sql::Rows> for Rows {
    fn from(rows: sql::Rows) -> Self {
        let row = |row: Vec<sql::Value>| row.into_iter().map(Value::from).collect();
        Self { columns: rows.columns, rows: rows.rows.into_iter().map(row).collect() }
    }
}

/// `statement`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
struct Statement {
    sql: String,
    params: Vec<Value>,
}

fn statement(sql: String, params: Vec<Value>) -> sql::Statement {
    sql::Statement { sql, params: params.into_iter().map(sql::Value::from).collect() }
}

/// `error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "constraint")]
    Constraint(String),
    #[component(name = "conflict")]
    Conflict,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "finished")]
    Finished,
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::Invalid(reason) => Self::Invalid(reason),
            sql::Error::Constraint(reason) => Self::Constraint(reason),
            sql::Error::Conflict => Self::Conflict,
            sql::Error::TooLarge => Self::TooLarge,
            sql::Error::Unavailable(reason) => Self::Unavailable(reason),
            sql::Error::CutOff => Self::Unavailable(sql::Error::CutOff.to_string()),
            sql::Error::Finished => Self::Finished,
        }
    }
}

/// The representation of `transaction` in the store's table: its number.
struct Transaction(u64);

type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;

/// The store's part of the database, and the call that waits for it. The load refused a component
/// that imports it without a grant.
fn own<'a>(
    store: &'a mut StoreContextMut<'_, State>,
) -> wasmtime::Result<(&'a mut Instance, &'a mut Call)> {
    let State { call, own, .. } = store.data_mut();
    let instance = own.sql.as_mut();
    Ok((instance.ok_or_else(|| wasmtime::format_err!("`sql` was not granted"))?, call))
}

/// Wait for an answer, at most until the deadline of the call. `name` is what the call's trace
/// shows it as. The text of a statement stays out: there may be secrets in it.
async fn within<T, R: From<T>>(
    call: &mut Call,
    name: &'static str,
    work: impl Future<Output = sql::Result<T>>,
) -> Answer<R> {
    let mut span = call.trace.as_ref().and_then(|of| {
        let mut span = traces::child(of, SpanKind::Client, format!("sql {name}"), [])?;
        span.note("db.operation.name", name);
        span.note("trellis.plugin", call.plugin.clone());
        Some(span)
    });
    let work = tokio::time::timeout(call.remaining(), work);
    let answer = call.wait(work).await.unwrap_or_else(|_| {
        Err(sql::Error::Unavailable("the call's time was over before its turn came".into()))
    });
    if let (Some(span), Err(error)) = (&mut span, &answer) {
        span.fail("sql", error);
    }
    Ok((answer.map(R::from).map_err(Error::from),))
}

fn number(
    store: &StoreContextMut<'_, State>,
    this: &Resource<Transaction>,
) -> wasmtime::Result<u64> {
    Ok(store.data().table.get(this)?.0)
}

/// Add every function.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut sql = linker.instance(INTERFACE)?;
    sql.func_wrap("dialect", |mut store: StoreContextMut<'_, State>, (): ()| {
        let (sql, _) = own(&mut store)?;
        Ok((match sql.prepared.database.dialect() {
            sql::Dialect::Sqlite => Database::Sqlite,
            sql::Dialect::Postgres => Database::Postgres,
        },))
    })?;
    sql.func_wrap_async("query", |mut store, (text, params): (String, Vec<Value>)| {
        Box::new(async move {
            let statement = statement(text, params);
            let (sql, call) = own(&mut store)?;
            within::<_, Rows>(call, "query", sql.query(statement)).await
        })
    })?;
    sql.func_wrap_async("execute", |mut store, (text, params): (String, Vec<Value>)| {
        Box::new(async move {
            let statement = statement(text, params);
            let (sql, call) = own(&mut store)?;
            within::<_, u64>(call, "execute", sql.execute(statement)).await
        })
    })?;
    sql.func_wrap_async("batch", |mut store, (statements,): (Vec<Statement>,)| {
        Box::new(async move {
            let statements =
                statements.into_iter().map(|each| statement(each.sql, each.params)).collect();
            let (sql, call) = own(&mut store)?;
            within::<_, Vec<u64>>(call, "batch", sql.batch(statements)).await
        })
    })?;
    link_transaction(linker)
}

fn link_transaction(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut sql = linker.instance(INTERFACE)?;
    let kind = ResourceType::host::<Transaction>();
    sql.resource_async("transaction", kind, |mut store, this| {
        Box::new(async move {
            let Transaction(number) = store.data_mut().table.delete(Resource::new_own(this))?;
            if let Some(sql) = &mut store.data_mut().own.sql {
                // It may have ended already, and a database that fails rolls it back as well.
                let _ = sql.end(number, false).await;
            }
            Ok(())
        })
    })?;
    sql.func_wrap_async("[static]transaction.begin", |mut store, (): ()| {
        Box::new(async move {
            let (sql, call) = own(&mut store)?;
            let (begun,) = within::<_, u64>(call, "begin", sql.begin()).await?;
            Ok((match begun {
                Ok(number) => Ok(store.data_mut().table.push(Transaction(number))?),
                Err(error) => Err(error),
            },))
        })
    })?;
    sql.func_wrap_async(
        "[method]transaction.query",
        |mut store, (this, text, params): (Resource<Transaction>, String, Vec<Value>)| {
            Box::new(async move {
                let (number, statement) = (number(&store, &this)?, statement(text, params));
                let (sql, call) = own(&mut store)?;
                within::<_, Rows>(call, "query", sql.query_in(number, statement)).await
            })
        },
    )?;
    sql.func_wrap_async(
        "[method]transaction.execute",
        |mut store, (this, text, params): (Resource<Transaction>, String, Vec<Value>)| {
            Box::new(async move {
                let (number, statement) = (number(&store, &this)?, statement(text, params));
                let (sql, call) = own(&mut store)?;
                within::<_, u64>(call, "execute", sql.execute_in(number, statement)).await
            })
        },
    )?;
    for (name, end, commit) in [
        ("[method]transaction.commit", "commit", true),
        ("[method]transaction.rollback", "rollback", false),
    ] {
        sql.func_wrap_async(name, move |mut store, (this,): (Resource<Transaction>,)| {
            Box::new(async move {
                let number = number(&store, &this)?;
                let (sql, call) = own(&mut store)?;
                within::<_, ()>(call, end, sql.end(number, commit)).await
            })
        })?;
    }
    Ok(())
}
