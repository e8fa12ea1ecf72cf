//! A plugin that does with each message what the message says.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use super::{
    super::{
        handler::{Fault, Handler, Verdict},
        table::Table,
    },
    log::{GROUP, Memory},
};
use crate::{
    backends::log::{Batch, Outgoing},
    manifest::{Consume, Delivery},
    runtime::exports::consumer::{Action, Failure},
};

/// What a message makes the plugin do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    /// Handle it.
    Good,
    /// Fail it so often, then handle it.
    Fails(u32),
    /// Fail it always.
    Poison,
    /// Ask for its dead letter at once.
    Dead,
    /// Trap whenever it is in a batch.
    Trap,
    /// Send something the log refuses.
    Unwritable,
}

/// What all incarnations of the plugin have seen.
#[derive(Default)]
pub struct Seen {
    /// Each message handled, in order, by offset.
    pub handled: Vec<u64>,
    failures: HashMap<u64, u32>,
    /// Calls that still fail through no fault of a message.
    pub host_faults: u32,
    /// What the plugin's database holds: the messages as rows, and the offset beside them.
    pub rows: Vec<u64>,
    pub offset: Option<u64>,
    /// Called with each batch.
    pub calls: Vec<(u64, u32)>,
}

#[derive(Clone)]
pub struct Plugin {
    pub log: Memory,
    pub behaviours: Arc<Vec<Behaviour>>,
    pub table: Arc<Table>,
    pub seen: Arc<Mutex<Seen>>,
    /// Taken for each call: the test decides when calls may end.
    pub gate: Arc<tokio::sync::Semaphore>,
}

pub const ATTEMPTS: u32 = 3;

/// A table with short pauses.
pub fn table(delivery: Delivery, max_messages: u32) -> Arc<Table> {
    let toml = format!(
        "topics = [\"in\"]\ngroup = \"{GROUP}\"\n\
         batch = {{ max-messages = {max_messages}, max-wait = 0 }}\n\
         retry = {{ attempts = {ATTEMPTS}, backoff = 1, max-backoff = 2 }}"
    );
    let consume: Consume = toml::from_str(&toml).unwrap();
    Arc::new(Table::new("plugin".into(), Consume { delivery, ..consume }))
}

impl Plugin {
    pub fn new(log: &Memory, behaviours: Vec<Behaviour>, table: Arc<Table>) -> Self {
        let gate = Arc::new(tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS));
        let behaviours = Arc::new(behaviours);
        Self { log: log.clone(), behaviours, table, seen: Arc::default(), gate }
    }

    fn verdict(&self, batch: &Batch) -> Result<Verdict, Fault> {
        let mut seen = self.seen.lock().unwrap();
        let offsets: Vec<u64> = batch.records().map(|record| record.offset).collect();
        seen.calls.push((offsets[0], batch.count));
        if seen.host_faults > 0 {
            seen.host_faults -= 1;
            return Err(Fault::Host("the database is away".into()));
        }
        let (mut handled, mut outputs, mut failure) = (Vec::new(), Vec::new(), None);
        for (index, offset) in (0..).zip(&offsets) {
            let mut target = "out";
            let action = match self.behaviours[*offset as usize] {
                Behaviour::Good => None,
                Behaviour::Fails(times) => {
                    let failures = seen.failures.entry(*offset).or_default();
                    *failures += 1;
                    (*failures <= times).then_some(Action::Retry(None))
                }
                Behaviour::Poison => Some(Action::Retry(Some(1))),
                Behaviour::Dead => Some(Action::DeadLetter),
                Behaviour::Trap => return Err(Fault::Guest("trapped".into())),
                Behaviour::Unwritable => {
                    target = "nowhere";
                    None
                }
            };
            if let Some(action) = action {
                failure = Some(Failure { index, reason: "no".into(), action });
                break;
            }
            handled.push(*offset);
            let text = offset.to_string();
            outputs.push(Outgoing::new(target.into(), None, Some(text.as_bytes()), &[]));
        }
        let rolled_back = self.table.rolls_back() && failure.is_some();
        if !rolled_back {
            let mut state = self.log.state();
            for offset in &handled {
                state.finished[*offset as usize] = true;
            }
            seen.handled.extend(handled);
        }
        if self.table.consume.delivery == Delivery::ExactlyOnceSql && failure.is_none() {
            match seen.offset {
                Some(offset) if offset == batch.next => {}
                Some(offset) if offset > offsets[0] => return Err(Fault::Moved(offset)),
                _ => {
                    seen.rows.extend(&offsets);
                    seen.offset = Some(batch.next);
                }
            }
        }
        let sends = self.table.consume.delivery == Delivery::ExactlyOnceTopics;
        Ok(match failure {
            Some(failure) => Err(failure),
            None if sends => Ok(outputs),
            None => Ok(Vec::new()),
        })
    }
}

impl Handler for Plugin {
    fn table(&self) -> Arc<Table> {
        self.table.clone()
    }

    fn generation(&self) -> u64 {
        7
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        self.gate.acquire().await.unwrap().forget();
        tokio::task::yield_now().await;
        self.verdict(batch)
    }

    async fn place(&mut self) -> Result<Option<u64>, Fault> {
        Ok(self.seen.lock().unwrap().offset)
    }

    async fn pass(&mut self, _from: u64, next: u64) -> Result<(), Fault> {
        if self.table.consume.delivery == Delivery::ExactlyOnceSql {
            self.seen.lock().unwrap().offset = Some(next);
        }
        Ok(())
    }

    async fn put(&mut self, next: u64) -> Result<(), Fault> {
        self.pass(0, next).await
    }
}
