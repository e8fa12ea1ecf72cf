//! PostgreSQL: one schema and one role a plugin, in one database.
//!
//! A plugin's statements come in as its own role, whose password only the hosts can derive; see
//! [`role`] for why nothing leads out of it. All plugins' connections of a host share one pool with
//! a bound for each.
//!
//! ```text
//!  Postgres ── a plugin ──▶ Schema ──▶ Room ── its share ──▶ Pool ──▶ Connection (one role's)
//!                 │            └─ replica: Room ──▶ Pool ──▶ a server that follows
//!                 └─ Role: made, or set right, by the host's own role
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use anyhow::Context;
use futures_util::future::{BoxFuture, FutureExt};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;

use super::{Database, Databases, Error, Result};
use crate::backends::postgres::{self, Failure, Server};

mod column;
mod connection;
mod migrate;
mod numeric;
mod param;
mod plan;
mod pool;
mod role;
mod schema;
mod time;
mod transaction;

#[cfg(test)]
mod tests;

use pool::Pool;
use role::Role;
use schema::Schema;

/// All databases, in one server.
pub struct Postgres {
    server: Arc<Server>,
    pool: Arc<Pool>,
    replica: Option<Replica>,
    /// Weak, so that the connections of a plugin that is gone are closed.
    open: Mutex<HashMap<String, Weak<Schema>>>,
}

/// A server that follows.
struct Replica {
    host: String,
    port: u16,
    pool: Arc<Pool>,
}

impl Postgres {
    /// Keep the databases in a server.
    ///
    /// # Errors
    /// When the replica's address is none.
    pub fn new(server: Arc<Server>) -> anyhow::Result<Self> {
        let replica = match &server.settings().replica {
            None => None,
            Some(address) => {
                let (host, port) = address.rsplit_once(':').context("`replica` has no port")?;
                let port = port.parse().context("the port in `replica` is no number")?;
                Some(Replica { host: host.into(), port, pool: Pool::new(server.clone()) })
            }
        };
        let pool = Pool::new(server.clone());
        Ok(Self { server, pool, replica, open: Mutex::default() })
    }

    async fn connect(&self, plugin: &str) -> Result<Schema> {
        let role = Role::of(&self.server, plugin).await?;
        let options = self.server.options_for(&role.name, role.password(), &role.schema);
        if !self.is_ready(&role, &options).await? {
            role.make(&self.server, plugin).await?;
            if !self.is_ready(&role, &options).await? {
                let name = &role.name;
                tracing::error!(
                    role = name,
                    "a plugin's role cannot log in; let it in in `pg_hba.conf` of PostgreSQL, with \
                     `scram-sha-256`"
                );
                return Err(Error::Unavailable(format!("its role `{name}` cannot log in")));
            }
        }
        let replica = self.replica.as_ref().map(|replica| {
            replica.pool.room(options.clone().host(&replica.host).port(replica.port))
        });
        Ok(Schema::new(&role, self.pool.room(options), replica))
    }

    /// Whether the role can log in and has all that it should, and no more.
    async fn is_ready(&self, role: &Role, options: &PgConnectOptions) -> Result<bool> {
        match postgres::connect(options, self.server.settings()).await {
            Ok(mut connection) => role.check(&mut connection).await,
            Err(error) => match Failure::of(&error) {
                Failure::Refused => Ok(false),
                other => Err(told(other)),
            },
        }
    }
}

impl Databases for Postgres {
    fn open(&self, plugin: &str) -> BoxFuture<'_, Result<Arc<dyn Database>>> {
        let plugin = plugin.to_owned();
        async move {
            let mut open = self.open.lock().await;
            open.retain(|_, schema| schema.strong_count() > 0);
            if let Some(schema) = open.get(&plugin).and_then(Weak::upgrade) {
                return Ok(schema as Arc<dyn Database>);
            }
            let schema = Arc::new(self.connect(&plugin).await?);
            open.insert(plugin, Arc::downgrade(&schema));
            Ok(schema as Arc<dyn Database>)
        }
        .boxed()
    }
}

/// What a failure of the server means to a plugin.
fn failure(error: &sqlx::Error) -> Error {
    told(Failure::of(error))
}

fn told(failure: Failure) -> Error {
    match failure {
        Failure::Invalid(words) => Error::Invalid(words),
        Failure::Constraint(words) => Error::Constraint(words),
        // Compiled for other tables: everything is as it should be when it runs again.
        Failure::Conflict | Failure::Stale => Error::Conflict,
        Failure::ReadOnly => Error::Unavailable("the database takes no changes now".into()),
        Failure::CutOff => Error::CutOff,
        Failure::Unavailable(why) => Error::Unavailable(why.into()),
        Failure::Finished => Error::Finished,
        Failure::Refused => {
            tracing::warn!("PostgreSQL lets a role no longer in");
            Error::Unavailable("the host cannot log in".into())
        }
    }
}
