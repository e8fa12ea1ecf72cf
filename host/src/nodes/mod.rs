//! The hosts that share their backends: each tells of itself, each can tell of all.
//!
//! ```text
//!  this host ─ every beat ─▶ key-value store ◀─ every beat ─ another host
//!                                  │
//!  GET /api/nodes, trellis nodes ◀─┘  what was heard last, and how long ago
//! ```
//! Nothing is decided by this: who reads which partition is the log's to say, and whether a host
//! gets requests the load balancer's. A store that is away costs the picture, never a request.
//! With the embedded backends there is one host, and it sees itself.

use std::{fs, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    backends::keyvalue::{Cursor, KeyValue, MAX_KEYS, Namespace, Result, Store},
    plugins::Status,
    quantity::Millis,
    quantity::now_ms,
};

pub mod node;
#[cfg(test)]
mod tests;

pub use node::{Node, Plugin, State};

/// `[nodes]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What this host is called; without it, as its machine is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How often a host tells of itself.
    pub beat: Millis,
    /// A host of which nothing was heard for so long counts as lost.
    pub lost_after: Millis,
    /// A host that was lost for so long is no longer shown.
    pub forgotten_after: Millis,
}

impl Settings {
    /// What this host is called.
    pub fn own_name(&self) -> String {
        self.name.clone().unwrap_or_else(machine_name)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            beat: Millis(2_000),
            lost_after: Millis(10_000),
            forgotten_after: Millis(3_600_000),
        }
    }
}

/// The hosts that share a key-value store, and this one among them.
pub struct Nodes {
    store: Arc<dyn Store>,
    settings: Settings,
    /// This host as it never changes.
    own: Node,
    statuses: Box<dyn Fn() -> Vec<Status> + Send + Sync>,
    state: watch::Receiver<State>,
}

impl Nodes {
    /// This host, which answers at these addresses. Nobody hears of it before [`Self::run`].
    pub fn new(
        keyvalue: &dyn KeyValue,
        settings: Settings,
        addresses: node::Addresses,
        statuses: impl Fn() -> Vec<Status> + Send + Sync + 'static,
        state: watch::Receiver<State>,
    ) -> Self {
        let name = settings.own_name();
        Self {
            store: keyvalue.store(Namespace::Host("nodes")),
            own: Node::starting(name, addresses, now_ms()),
            settings,
            statuses: Box::new(statuses),
            state,
        }
    }

    /// Tell of this host until `closed`; then take it off the list.
    pub async fn run(&self, closed: CancellationToken) {
        let mut beat = tokio::time::interval(self.settings.beat.into());
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut state, mut well) = (self.state.clone(), true);
        loop {
            tokio::select! {
                () = closed.cancelled() => break,
                _ = beat.tick() => {}
                // Whoever could make it change is gone with the host.
                Ok(()) = state.changed() => {}
            }
            match self.beat().await {
                Ok(()) => well = true,
                Err(error) if well => {
                    well = false;
                    tracing::warn!(%error, "other nodes do not hear of this one");
                }
                Err(_) => {}
            }
        }
        let last = self.store.delete_many(vec![self.own.id.clone()]);
        if let Ok(Err(error)) = tokio::time::timeout(LAST, last).await {
            tracing::debug!(%error, "other nodes take this one for lost");
        }
    }

    /// Every host of which something was heard lately, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(&self) -> Result<Vec<Node>> {
        let now = now_ms();
        let (lost, forgotten) = (self.settings.lost_after, self.settings.forgotten_after);
        let mut nodes = self.heard_of().await?;
        nodes.retain(|node| node.silent_ms(now) <= forgotten.0 || node.id == self.own.id);
        for node in &mut nodes {
            if node.silent_ms(now) > lost.0 {
                node.state = State::Lost;
            }
        }
        nodes.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(nodes)
    }

    async fn heard_of(&self) -> Result<Vec<Node>> {
        let (mut nodes, mut from) = (Vec::new(), Cursor::First);
        loop {
            let page = self.store.keys(from).await?;
            let Some(last) = page.keys.last().cloned() else { return Ok(nodes) };
            let values = self.store.get_many(page.keys).await?.into_iter().flatten();
            // What another version of the host wrote may not be readable; it is left out.
            nodes.extend(values.filter_map(|value| serde_json::from_slice::<Node>(&value).ok()));
            if !page.more || nodes.len() >= MAX_KEYS {
                return Ok(nodes);
            }
            from = Cursor::After(last);
        }
    }

    async fn beat(&self) -> Result<()> {
        let own = self.now();
        let value = serde_json::to_vec(&own).unwrap_or_default();
        self.store.set_many(vec![(own.id.clone(), value.into())]).await?;
        let forgotten = self.heard_of().await?.into_iter().filter(|node| {
            node.id != own.id && node.silent_ms(own.heard_ms) > self.settings.forgotten_after.0
        });
        let forgotten: Vec<String> = forgotten.map(|node| node.id).collect();
        match forgotten.is_empty() {
            true => Ok(()),
            false => self.store.delete_many(forgotten).await,
        }
    }

    /// This host as it is now.
    fn now(&self) -> Node {
        let plugins = (self.statuses)().iter().map(Plugin::from).collect();
        let state = *self.state.borrow();
        Node { state, plugins, heard_ms: now_ms(), ..self.own.clone() }
    }
}

/// How long the store may take to hear that this host has ended.
const LAST: Duration = Duration::from_secs(2);

/// What the machine is called.
fn machine_name() -> String {
    let names = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let name = names.iter().find_map(|path| fs::read_to_string(path).ok());
    let name = name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    name.unwrap_or("host").to_owned()
}
