//! The connections of a host to one server, and each plugin's share of them.
//!
//! A connection belongs to one plugin, whose role it came in with; there is a bound for each plugin
//! and one for all of them. When all are taken, an idle one of another plugin is closed. What a
//! statement left in its session (settings, locks, temporary tables) is taken out before anybody
//! else uses the connection, and a statement that nobody waits for is ended in the server.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    connection::{Connection, Session},
    failure,
    plan::Plan,
};
use crate::backends::{
    postgres::{self, Failure, Server},
    sql::{Dialect, Error, Result, text::Text},
};

/// Texts that are remembered as checked, and as compiled; beyond that all are forgotten.
const MAX_TEXTS: usize = 512;
/// A connection that was idle for longer is tried before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// How long the cleaning of a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Takes out of a session what may have been left in it.
const CLEAN: &str = "CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES; RESET ALL; \
                     SELECT pg_catalog.pg_advisory_unlock_all()";
/// The same, with a transaction open.
const ROLLBACK: &str = "ROLLBACK; CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES; \
                        RESET ALL; SELECT pg_catalog.pg_advisory_unlock_all()";

/// All connections to a server.
pub struct Pool {
    server: Arc<Server>,
    /// One for each connection, idle ones too.
    places: Arc<Semaphore>,
    /// How many wait for a place, so that none is kept idle meanwhile.
    waiting: AtomicUsize,
    idle: std::sync::Mutex<Vec<Idle>>,
    rooms: AtomicU64,
}

struct Idle {
    room: u64,
    connection: Connection,
    place: OwnedSemaphorePermit,
}

impl Pool {
    /// No connections yet.
    pub fn new(server: Arc<Server>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(server.settings().connections as usize));
        Arc::new(Self {
            server,
            places,
            waiting: AtomicUsize::new(0),
            idle: std::sync::Mutex::default(),
            rooms: AtomicU64::new(0),
        })
    }

    /// A plugin's share.
    pub fn room(self: &Arc<Self>, options: PgConnectOptions) -> Arc<Room> {
        let turns = self.server.settings().plugin_connections as usize;
        Arc::new(Room {
            pool: self.clone(),
            number: self.rooms.fetch_add(1, Ordering::Relaxed),
            options,
            turns: Arc::new(Semaphore::new(turns)),
            texts: std::sync::Mutex::default(),
            plans: std::sync::Mutex::default(),
            schema: AtomicU64::new(0),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection, if need be that of somebody's idle one.
    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        // Told before the look, so that what comes back behind it is not kept idle.
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let oldest = {
            let mut idle = self.idle();
            if idle.is_empty() { None } else { Some(idle.remove(0)) }
        };
        if let Some(oldest) = oldest {
            return Ok(oldest.place);
        }
        let place = self.places.clone().acquire_owned().await;
        place.map_err(|_| Error::Finished)
    }

    /// End what a session runs, and the session.
    async fn end(&self, session: Session) {
        self.signal("pg_terminate_backend", session).await;
    }

    /// Let the server do something about a session, if it is still there. It belongs to a role
    /// that the host's is a member of.
    async fn signal(&self, deed: &'static str, session: Session) {
        let sql = format!(
            "SELECT {deed}(pid) FROM pg_stat_activity WHERE pid = $1
             AND (extract(epoch FROM backend_start) * 1000000)::BIGINT = $2"
        );
        let asked = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(session.pid)
            .bind(session.since)
            .execute(self.server.own());
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => drop(Failure::of(&error)),
            Err(_) => tracing::warn!("a statement could not be cut off in time"),
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One plugin's share of the connections, and what is known of its statements.
pub struct Room {
    pool: Arc<Pool>,
    number: u64,
    options: PgConnectOptions,
    turns: Arc<Semaphore>,
    texts: std::sync::Mutex<HashMap<String, Arc<Text>>>,
    plans: std::sync::Mutex<HashMap<Arc<str>, Arc<Plan>>>,
    /// Counts changes of the schema; connections from before one are closed.
    schema: AtomicU64,
}

impl Room {
    /// Wait for a connection.
    pub async fn take(self: &Arc<Self>) -> Result<Taken> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Finished)?;
        while let Some(Idle { mut connection, place, .. }) = self.pop() {
            let rested = connection.idle_since.elapsed() > IDLE;
            if !rested || connection.run("").await.is_ok() {
                return Ok(self.taken(connection, place, turn));
            }
        }
        let place = self.pool.place().await?;
        let schema = self.schema.load(Ordering::Acquire);
        let raw = postgres::connect(&self.options, self.pool.server.settings()).await;
        let connection = Connection::new(raw.map_err(|error| failure(&error))?, schema).await?;
        Ok(self.taken(connection, place, turn))
    }

    fn taken(
        self: &Arc<Self>,
        connection: Connection,
        place: OwnedSemaphorePermit,
        turn: OwnedSemaphorePermit,
    ) -> Taken {
        let held = Held { connection, place, _turn: turn, _lock: None, inside: false };
        Taken { room: self.clone(), held: Some(held) }
    }

    /// The connection that was put back last.
    fn pop(&self) -> Option<Idle> {
        let schema = self.schema.load(Ordering::Acquire);
        let mut idle = self.pool.idle();
        idle.retain(|idle| idle.room != self.number || idle.connection.schema == schema);
        let last = idle.iter().rposition(|idle| idle.room == self.number)?;
        Some(idle.remove(last))
    }

    /// The schema has changed: what was compiled for the old one must not be used.
    pub fn redefined(&self) {
        self.schema.fetch_add(1, Ordering::AcqRel);
        self.plans.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The checked text of a statement.
    pub fn text(&self, sql: &str) -> Result<Arc<Text>> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = texts.get(sql) {
            return Ok(text.clone());
        }
        let text = Arc::new(Text::one(Dialect::Postgres, sql)?);
        if texts.len() == MAX_TEXTS {
            texts.clear();
        }
        texts.insert(sql.to_owned(), text.clone());
        Ok(text)
    }

    /// How a statement is run, asked of the server the first time.
    pub async fn plan(&self, text: &Text, connection: &mut Connection) -> Result<Arc<Plan>> {
        let known =
            self.plans.lock().unwrap_or_else(PoisonError::into_inner).get(&text.sql).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let schema = self.schema.load(Ordering::Acquire);
        let plan = Arc::new(connection.plan(text).await?);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() == MAX_TEXTS {
            plans.clear();
        }
        if schema == self.schema.load(Ordering::Acquire) {
            plans.insert(text.sql.clone(), plan.clone());
        }
        Ok(plan)
    }

    async fn put_back(&self, mut held: Held) {
        let connection = &mut held.connection;
        let clean = if held.inside { ROLLBACK } else { CLEAN };
        let cleaned = connection.is_sound()
            && tokio::time::timeout(PATIENCE, connection.run(clean))
                .await
                .is_ok_and(|it| it.is_ok());
        if connection.stale {
            self.redefined();
        }
        if !cleaned {
            self.pool.end(connection.session).await;
        }
        let current = connection.schema == self.schema.load(Ordering::Acquire);
        let mut idle = self.pool.idle();
        if cleaned && current && self.pool.waiting.load(Ordering::Acquire) == 0 {
            held.connection.idle_since = Instant::now();
            let Held { connection, place, .. } = held;
            idle.push(Idle { room: self.number, connection, place });
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.pool.idle().retain(|idle| idle.room != self.number);
    }
}

struct Held {
    connection: Connection,
    place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
    /// Let go when the connection is clean, so that whoever comes next meets no lock of this one.
    _lock: Option<OwnedMutexGuard<()>>,
    /// A transaction is open.
    inside: bool,
}

/// A connection for a while. The drop gives it back.
pub struct Taken {
    room: Arc<Room>,
    /// `Some` until the drop.
    held: Option<Held>,
}

impl Taken {
    /// The connection, to run statements on.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        self.held.as_mut().map(|held| &mut held.connection).ok_or(Error::Finished)
    }

    /// A transaction is open from now on, or no longer.
    pub fn inside(&mut self, inside: bool) {
        if let Some(held) = &mut self.held {
            held.inside = inside;
        }
    }

    /// Keep a lock until the connection is clean again.
    pub fn keep(&mut self, lock: OwnedMutexGuard<()>) {
        if let Some(held) = &mut self.held {
            held._lock = Some(lock);
        }
    }

    /// Stop the statement that runs, and go on with a text of the host's own.
    pub async fn cancel(&mut self, then: &str) -> Result<()> {
        let held = self.held.as_mut().ok_or(Error::Finished)?;
        self.room.pool.signal("pg_cancel_backend", held.connection.session).await;
        held.connection.recover(then).await
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let room = self.room.clone();
            runtime.spawn(async move { room.put_back(held).await });
        }
    }
}
