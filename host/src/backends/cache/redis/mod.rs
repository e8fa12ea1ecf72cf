//! Caches in a Redis that hosts share.
//!
//! A plugin's keys begin with `PREFIX:PLUGIN:`, which no key of another plugin's can, since the
//! name of a plugin has no colon. What is claimed stands beside the values:
//!
//! ```text
//! trellis:catalogue:v:page/1     the value
//! trellis:catalogue:c:page/1     the claim: the token of whoever computes it, until its lease ends
//! ```
//!
//! Every call is one command, a script where it touches both, so that nothing comes between. Of
//! those who wait on this host, one asks Redis again and again whether the claim is free; the
//! others wait for that one, and look for the value now and then.

use std::{sync::Arc, time::Duration};

use ::redis::{Cmd, Value as Reply, cmd};
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, sleep};

use super::{
    Cache, Caches, Claimed, Error, Key, Lease, Result, Value,
    claims::{Claims, Entered, Turn},
    settings::Redis as Settings,
};

mod claim;
mod connection;
#[cfg(test)]
mod tests;

use claim::Mine;
use connection::Connection;
pub use connection::OpenError;

/// Write a value and end the claim.
const SET: &str = "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1";
/// Write a value where there is none, and end the claim.
const ADD: &str = "if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then
  redis.call('DEL', KEYS[2])
  return 1
end
return 0";
/// The value, or 1 for a claim, or 0 where somebody else has it.
const CLAIM: &str = "local value = redis.call('GET', KEYS[1])
if value then return value end
if redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return 0";
/// Write a value if the claim still is the caller's.
const FILL: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1";
/// Give the claim back if it still is the caller's.
const RELEASE: &str = "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
return 1";

/// How long the one who asks for all pauses between two questions: first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// How long the others wait between two looks for a value that another host has written.
const LOOK: Duration = Duration::from_millis(250);

/// All plugins' caches.
pub struct Redis {
    connection: Arc<Connection>,
    prefix: Arc<str>,
}

impl Redis {
    /// Connect. A server that is not there is looked for until it is; one that does not let the
    /// host in is an error.
    pub async fn open(settings: &Settings) -> std::result::Result<Self, OpenError> {
        let connection = Arc::new(Connection::open(settings).await?);
        Ok(Self { connection, prefix: settings.prefix.as_str().into() })
    }
}

impl Caches for Redis {
    fn open(&self, plugin: &str) -> Arc<dyn Cache> {
        let place = Place {
            connection: self.connection.clone(),
            prefix: format!("{}:{plugin}", self.prefix).into(),
        };
        Arc::new(Own { place, claims: Arc::default() })
    }
}

/// One plugin's part of the server.
#[derive(Clone)]
struct Place {
    connection: Arc<Connection>,
    prefix: Arc<str>,
}

impl Place {
    fn value(&self, key: &Key) -> String {
        format!("{}:v:{}", self.prefix, key.0)
    }

    fn claim(&self, key: &Key) -> String {
        format!("{}:c:{}", self.prefix, key.0)
    }

    /// A script about a key, whose arguments follow.
    fn script(&self, script: &str, key: &Key) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(2).arg(self.value(key)).arg(self.claim(key));
        command
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        match self.connection.ask(cmd("GET").arg(self.value(key))).await? {
            Reply::BulkString(value) => Ok(Some(value.into())),
            Reply::Nil => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    async fn claim_once(&self, key: &Key, token: &str, lease: Lease) -> Result<Asked> {
        let mut command = self.script(CLAIM, key);
        match self.connection.ask(command.arg(token).arg(millis(lease.0))).await? {
            Reply::BulkString(value) => Ok(Asked::Value(value.into())),
            Reply::Int(1) => Ok(Asked::Yours),
            Reply::Int(0) => Ok(Asked::Taken),
            other => Err(unexpected(&other)),
        }
    }

    async fn fill(&self, key: &Key, token: &str, value: &Value) -> Result<bool> {
        let mut command = self.script(FILL, key);
        command.arg(&*value.bytes).arg(millis(value.ttl)).arg(token);
        self.whether(&command).await
    }

    async fn release(&self, key: &Key, token: &str) -> Result<bool> {
        self.whether(self.script(RELEASE, key).arg(token)).await
    }

    /// The answer of a script that says whether it did something.
    async fn whether(&self, command: &Cmd) -> Result<bool> {
        match self.connection.ask(command).await? {
            Reply::Int(did) => Ok(did == 1),
            other => Err(unexpected(&other)),
        }
    }
}

/// What a claim came to at one time.
enum Asked {
    Value(Bytes),
    Yours,
    Taken,
}

/// One plugin's cache.
struct Own {
    place: Place,
    /// Who of this host computes or asks.
    claims: Arc<Claims>,
}

impl Own {
    /// Nobody here waits any longer for what was computed before a write.
    fn wrote(&self, key: &Key) {
        self.claims.write(key, || true);
    }

    async fn write(&self, script: &str, key: Key, value: Value) -> Result<bool> {
        let mut command = self.place.script(script, &key);
        command.arg(&*value.bytes).arg(millis(value.ttl));
        let written = self.place.whether(&command).await?;
        if written {
            self.wrote(&key);
        }
        Ok(written)
    }

    async fn look_or_claim(&self, key: Key, lease: Lease, wait: Duration) -> Result<Claimed> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(value) = self.place.get(&key).await? {
                return Ok(Claimed::Value(value));
            }
            let now = Instant::now();
            // The longest that the turn can be needed: all of the wait, and then the lease.
            match self.claims.enter(&key, deadline.max(now) - now + lease.0) {
                Entered::Mine(turn) => return self.contend(turn, key, lease, deadline).await,
                Entered::Theirs(_) if now >= deadline => return Ok(Claimed::Taken),
                Entered::Theirs(other) => other.over(deadline.min(now + LOOK)).await,
            }
        }
    }

    /// Ask for the claim until it is free, on behalf of all who wait here.
    async fn contend(
        &self,
        turn: Turn,
        key: Key,
        lease: Lease,
        deadline: Instant,
    ) -> Result<Claimed> {
        let mut mine = Mine::new(self.place.clone(), key, turn);
        let mut pause = FIRST_PAUSE;
        loop {
            match mine.ask(lease).await? {
                Asked::Value(value) => return Ok(Claimed::Value(value)),
                Asked::Yours => return Ok(Claimed::Yours(Box::new(mine))),
                Asked::Taken => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Claimed::Taken);
            }
            sleep(pause.min(left)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }
}

impl Cache for Own {
    fn get(&self, key: Key) -> BoxFuture<'_, Result<Option<Bytes>>> {
        async move { self.place.get(&key).await }.boxed()
    }

    fn set(&self, key: Key, value: Value) -> BoxFuture<'_, Result<()>> {
        async move { self.write(SET, key, value).await.map(drop) }.boxed()
    }

    fn add(&self, key: Key, value: Value) -> BoxFuture<'_, Result<bool>> {
        self.write(ADD, key, value).boxed()
    }

    fn delete(&self, key: Key) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut command = cmd("DEL");
            command.arg(self.place.value(&key)).arg(self.place.claim(&key));
            self.place.connection.ask(&command).await?;
            self.wrote(&key);
            Ok(())
        }
        .boxed()
    }

    fn claim(&self, key: Key, lease: Lease, wait: Duration) -> BoxFuture<'_, Result<Claimed>> {
        self.look_or_claim(key, lease, wait).boxed()
    }
}

/// Never less than one: Redis takes no other.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// What is no answer to the question: somebody else writes to these keys.
fn unexpected(reply: &Reply) -> Error {
    tracing::warn!(?reply, "Redis gave an answer that makes no sense");
    Error::Unavailable("its answer makes no sense".into())
}
