//! A log in memory that can be told to fail, and that checks every commit against what the
//! plugin has finished.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use tokio::{sync::Notify, time::timeout};

use crate::backends::log::{
    self, Batch, Error, Held, Lag, Landing, Limit, Log, Outgoing, Partition, Position, Range,
    Reader, Result, Start, Subscription, Topic, TopicSettings,
    record::{Tail, put_record},
};

pub const GROUP: &str = "group";
pub const TOPIC: &str = "in";

/// What a commit does instead of committing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Nothing is written, and the answer is that it is not known.
    Lost,
    /// All is written, and the answer is that it is not known.
    Unknown,
}

#[derive(Default)]
pub struct State {
    pub topics: BTreeMap<String, (TopicSettings, Vec<Outgoing>)>,
    pub committed: Option<u64>,
    pub commits: usize,
    /// The reader that may commit.
    pub epoch: u64,
    /// By the number of the commit.
    pub troubles: HashMap<usize, Trouble>,
    /// The messages whose handling ended well, by offset.
    pub finished: Vec<bool>,
    /// Commits that ran ahead.
    pub ahead: Vec<u64>,
    /// How far apart commits should be.
    pub distance: Duration,
}

#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

impl Memory {
    /// A log with a topic of one partition.
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let memory = Self::default();
        {
            let mut state = memory.state();
            let settings = TopicSettings { partitions: 1, ..TopicSettings::default() };
            state.topics.insert("out".into(), (settings.clone(), Vec::new()));
            state.topics.insert(TOPIC.into(), (settings, Vec::new()));
        }
        memory.append(values);
        memory
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn append(&self, values: impl IntoIterator<Item = Vec<u8>>) {
        let records =
            values.into_iter().map(|value| Outgoing::new(TOPIC.into(), None, Some(&value), &[]));
        let mut state = self.state();
        state.topics.get_mut(TOPIC).unwrap().1.extend(records);
        let count = state.topics[TOPIC].1.len();
        state.finished.resize(count, false);
        drop(state);
        self.news.notify_waiters();
    }

    /// A new reader from the committed offset on; earlier ones can commit no more.
    pub fn reader(&self) -> Box<dyn Reader> {
        let mut state = self.state();
        state.epoch += 1;
        Box::new(MemoryReader {
            log: self.clone(),
            partition: Partition { topic: TOPIC.into(), partition: 0 },
            position: state.committed.unwrap_or(0),
            epoch: state.epoch,
        })
    }

    /// Values of a topic as text.
    pub fn values(&self, topic: &str) -> Vec<String> {
        let state = self.state();
        let records = state.topics.get(topic).map(|(_, records)| records.as_slice());
        let text = |record: &Outgoing| {
            String::from_utf8(Tail(&record.tail).value().unwrap().to_vec()).unwrap()
        };
        records.unwrap_or_default().iter().map(text).collect()
    }

    /// One header of each record of a topic, as text.
    pub fn headers(&self, topic: &str, wanted: &str) -> Vec<String> {
        let state = self.state();
        let records = state.topics.get(topic).map(|(_, records)| records.as_slice());
        let header = |record: &Outgoing| {
            let mut headers = Tail(&record.tail).headers();
            let (_, value) = headers.find(|(name, _)| *name == wanted).unwrap();
            String::from_utf8(value.unwrap().to_vec()).unwrap()
        };
        records.unwrap_or_default().iter().map(header).collect()
    }

    /// Wait until the group is at `offset`.
    pub async fn reaches(&self, offset: u64) {
        loop {
            let news = self.news.notified();
            if self.state().committed >= Some(offset) {
                return;
            }
            news.await;
        }
    }

    async fn commit(&self, epoch: u64, outputs: Vec<Outgoing>, offset: u64) -> Result<()> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        if epoch != state.epoch {
            return Err(Error::Fenced { topic: TOPIC.into(), partition: 0 });
        }
        state.commits += 1;
        let number = state.commits;
        let trouble = state.troubles.remove(&number);
        let unknown = Err(Error::Unavailable("the disk".into()));
        if trouble == Some(Trouble::Lost) {
            return unknown;
        }
        for output in outputs {
            state.write(output)?;
        }
        if state.finished[..offset as usize].contains(&false) || Some(offset) < state.committed {
            state.ahead.push(offset);
        }
        state.committed = Some(offset);
        drop(state);
        self.news.notify_waiters();
        if trouble.is_some() { unknown } else { Ok(()) }
    }
}

impl State {
    fn write(&mut self, record: Outgoing) -> Result<Position> {
        if record.topic.contains(".dead.") {
            let mut headers = Tail(&record.tail).headers();
            let (_, offset) = headers.find(|(name, _)| *name == "trellis-offset").unwrap();
            let offset = std::str::from_utf8(offset.unwrap()).unwrap();
            self.finished[offset.parse::<usize>().unwrap()] = true;
        }
        let topic = self.topics.get_mut(&*record.topic);
        let (_, records) = topic.ok_or_else(|| Error::UnknownTopic(record.topic.to_string()))?;
        records.push(record);
        Ok(Position { partition: 0, offset: records.len() as u64 - 1 })
    }
}

impl Log for Memory {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<Topic>>> {
        let state = self.state();
        let topics = state.topics.iter().map(|(name, (settings, _))| Topic {
            name: name.as_str().into(),
            partitions: settings.partitions,
            settings: settings.clone(),
        });
        let topics = topics.collect();
        async { Ok(topics) }.boxed()
    }

    fn create(&self, topic: &str, settings: TopicSettings) -> BoxFuture<'_, Result<()>> {
        self.state().topics.entry(topic.into()).or_insert((settings, Vec::new()));
        async { Ok(()) }.boxed()
    }

    fn hand_over(&self, records: Vec<Outgoing>, _: Held) -> BoxFuture<'_, Landing> {
        let mut state = self.state();
        let landed = records.into_iter().map(|record| state.write(record)).collect();
        ready(ready(landed).boxed()).boxed()
    }

    fn read(&self, _: Partition, _: u64, _: Limit) -> BoxFuture<'_, Result<Batch>> {
        async { Err(Error::Unavailable("consumers read through groups".into())) }.boxed()
    }

    fn range(&self, _: Partition) -> BoxFuture<'_, Result<Range>> {
        let end = self.state().topics[TOPIC].1.len() as u64;
        async move { Ok(Range { start: 0, end }) }.boxed()
    }

    fn first_at(&self, _: Partition, _: i64) -> BoxFuture<'_, Result<u64>> {
        async { Err(Error::Unavailable("consumers read through groups".into())) }.boxed()
    }

    fn join(&self, _: Subscription) -> BoxFuture<'_, Result<Box<dyn log::Member>>> {
        async { Err(Error::Unavailable("partitions are tested alone".into())) }.boxed()
    }

    fn lag(&self) -> BoxFuture<'_, Result<Vec<Lag>>> {
        let state = self.state();
        let end = state.topics[TOPIC].1.len() as u64;
        let lag = Lag {
            group: GROUP.into(),
            topic: TOPIC.into(),
            partition: 0,
            committed: state.committed,
            end,
            lag: end - state.committed.unwrap_or(0),
        };
        async { Ok(vec![lag]) }.boxed()
    }

    fn replay(&self, _: &str, _: &str, _: Start) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

struct MemoryReader {
    log: Memory,
    partition: Partition,
    position: u64,
    epoch: u64,
}

impl MemoryReader {
    fn read(&mut self, limit: Limit) -> Batch {
        let state = self.log.state();
        let records = &state.topics[TOPIC].1;
        let mut batch = Batch::new(TOPIC, 0, self.position, 0);
        for record in records.iter().skip(self.position as usize).take(limit.records as usize) {
            let mut packed = Vec::new();
            put_record(&mut packed, batch.next, 0, &record.tail);
            batch.extend(&packed, 1, batch.next + 1);
        }
        batch.set_behind(records.len() as u64 - batch.next);
        self.position = batch.next;
        batch
    }
}

impl Reader for MemoryReader {
    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn next(&mut self, limit: Limit) -> BoxFuture<'_, Result<Batch>> {
        async move {
            let news = self.log.news.clone();
            let news = news.notified();
            let batch = self.read(limit);
            if !batch.is_empty() || timeout(limit.wait, news).await.is_err() {
                return Ok(batch);
            }
            Ok(self.read(limit))
        }
        .boxed()
    }

    fn seek(&mut self, offset: u64) {
        self.position = offset;
    }

    fn commit(&mut self, offset: u64) -> BoxFuture<'static, Result<()>> {
        self.commit_with(Vec::new(), offset)
    }

    fn commit_with(
        &mut self,
        outputs: Vec<Outgoing>,
        offset: u64,
    ) -> BoxFuture<'static, Result<()>> {
        let (log, epoch) = (self.log.clone(), self.epoch);
        async move { log.commit(epoch, outputs, offset).await }.boxed()
    }

    fn commit_distance(&self) -> Duration {
        self.log.state().distance
    }

    fn committed(&mut self) -> BoxFuture<'static, Result<Option<u64>>> {
        let committed = self.log.state().committed;
        async move { Ok(committed) }.boxed()
    }
}
