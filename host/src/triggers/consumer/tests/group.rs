//! Members of a group on the embedded log.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        group::Member,
        handler::{Fault, Handler, Verdict},
        replay,
        table::Table,
    },
    plugin::table,
};
use crate::{
    backends::log::{
        self, Batch, Log, Outgoing, Partition, Start, TopicSettings, embedded::Embedded,
    },
    manifest::Delivery,
};

const PARTITIONS: u32 = 4;

/// What every member has handled, in the order it came.
type Handled = watch::Sender<Vec<(u32, u64)>>;

/// Notes what it is given.
struct Notes {
    member: u32,
    partition: u32,
    table: Arc<Table>,
    handled: Arc<Handled>,
    /// Which member holds which partition.
    holders: Arc<Mutex<HashSet<u32>>>,
    seen_by: Arc<watch::Sender<BTreeSet<u32>>>,
    puts: Arc<Mutex<Vec<(u32, u64)>>>,
}

impl Notes {
    fn new(member: u32, partition: &Partition, house: &House) -> Self {
        let fresh = house.holders.lock().unwrap().insert(partition.partition);
        assert!(fresh, "two members hold partition {}", partition.partition);
        Self {
            member,
            partition: partition.partition,
            table: house.table.clone(),
            handled: house.handled.clone(),
            holders: house.holders.clone(),
            seen_by: house.seen_by.clone(),
            puts: house.puts.clone(),
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.holders.lock().unwrap().remove(&self.partition);
    }
}

impl Handler for Notes {
    fn table(&self) -> Arc<Table> {
        self.table.clone()
    }

    fn generation(&self) -> u64 {
        1
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Verdict, Fault> {
        tokio::task::yield_now().await;
        let offsets = batch.records().map(|record| (self.partition, record.offset));
        self.handled.send_modify(|handled| handled.extend(offsets));
        self.seen_by.send_if_modified(|members| members.insert(self.member));
        Ok(Ok(Vec::new()))
    }

    async fn place(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn pass(&mut self, _from: u64, _next: u64) -> Result<(), Fault> {
        Ok(())
    }

    async fn put(&mut self, next: u64) -> Result<(), Fault> {
        self.puts.lock().unwrap().push((self.partition, next));
        Ok(())
    }
}

struct House {
    log: Arc<Embedded>,
    table: Arc<Table>,
    handled: Arc<Handled>,
    holders: Arc<Mutex<HashSet<u32>>>,
    seen_by: Arc<watch::Sender<BTreeSet<u32>>>,
    /// Where each partition was put, in the plugin's own database so to speak.
    puts: Arc<Mutex<Vec<(u32, u64)>>>,
    _directory: tempfile::TempDir,
}

impl House {
    async fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(Embedded::open(Default::default(), directory.path()).await.unwrap());
        let settings = TopicSettings { partitions: PARTITIONS, ..TopicSettings::default() };
        log.create("in", settings).await.unwrap();
        Arc::new(Self {
            log,
            table: table(Delivery::AtLeastOnce, 7),
            handled: Arc::default(),
            holders: Arc::default(),
            seen_by: Arc::default(),
            puts: Arc::default(),
            _directory: directory,
        })
    }

    /// Write this many records to each partition.
    async fn write(&self, count: usize) {
        let records = (0..count).flat_map(|_| 0..PARTITIONS).map(|partition| Outgoing {
            partition: Some(partition),
            ..Outgoing::new("in".into(), None, Some(b"x"), &[])
        });
        for landed in self.log.produce(records.collect()).await {
            landed.unwrap();
        }
    }

    fn join(self: &Arc<Self>, member: u32) -> (CancellationToken, JoinHandle<()>) {
        let (stop, _, member) = self.join_to_replay(member);
        (stop, member)
    }

    fn join_to_replay(
        self: &Arc<Self>,
        member: u32,
    ) -> (CancellationToken, mpsc::Sender<replay::Request>, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let house = self.clone();
        let handlers = move |partition: &Partition, _: &CancellationToken| {
            Notes::new(member, partition, &house)
        };
        let (replays, asked) = mpsc::channel(1);
        let (log, table) = (self.log.clone(), self.table.clone());
        let member = Member::new(log, table, handlers, asked, stop.clone());
        (stop, replays, tokio::spawn(member.run()))
    }

    async fn handles(&self, count: usize) {
        self.handled.subscribe().wait_for(|handled| handled.len() >= count).await.unwrap();
    }

    async fn member_works(&self, member: u32) {
        let mut seen_by = self.seen_by.subscribe();
        while !seen_by.borrow_and_update().contains(&member) {
            self.write(1).await;
            tokio::task::yield_now().await;
        }
    }

    /// Everything was handled once, each partition in order, and is committed.
    async fn assert_exact(&self) {
        let lags = self.log.lag().await.unwrap();
        let mine: Vec<_> = lags.iter().filter(|lag| lag.group == self.table.group).collect();
        assert_eq!(mine.len(), PARTITIONS as usize);
        for lag in mine {
            assert_eq!(lag.committed, Some(lag.end), "partition {}", lag.partition);
            let handled = self.handled.borrow();
            let offsets = handled.iter().filter(|(partition, _)| *partition == lag.partition);
            assert!(offsets.map(|(_, offset)| *offset).eq(0..lag.end));
        }
    }
}

#[tokio::test]
async fn a_member_that_stops_commits_what_it_has_done_and_leaves_nothing_running() {
    let house = House::new().await;
    house.write(50).await;
    let (stop, member) = house.join(1);
    house.handles(50 * PARTITIONS as usize).await;
    stop.cancel();
    member.await.unwrap();
    assert!(house.holders.lock().unwrap().is_empty());
    house.assert_exact().await;
}

#[tokio::test]
async fn partitions_move_between_members_without_a_message_lost_or_doubled() {
    let house = House::new().await;
    let (stop_first, first) = house.join(1);
    house.member_works(1).await;
    let (stop_second, second) = house.join(2);
    house.member_works(2).await;
    stop_first.cancel();
    first.await.unwrap();
    house.write(20).await;
    let end: u64 = house.log.lag().await.unwrap().iter().map(|lag| lag.end).sum();
    house.handles(end as usize).await;
    stop_second.cancel();
    second.await.unwrap();
    house.assert_exact().await;
}

#[tokio::test]
async fn a_group_is_moved_while_its_member_reads() {
    let house = House::new().await;
    house.write(10).await;
    let (stop, replays, member) = house.join_to_replay(1);
    house.handles(10 * PARTITIONS as usize).await;
    let (answer, outcome) = oneshot::channel();
    let (group, topic) = (house.table.group.to_string(), "in".to_owned());
    replays.send(replay::Request { group, topic, to: Start::Offset(4), answer }).await.unwrap();
    outcome.await.unwrap().unwrap();
    house.handles(16 * PARTITIONS as usize).await;
    stop.cancel();
    member.await.unwrap();
    let handled = house.handled.borrow().clone();
    for partition in 0..PARTITIONS {
        let of_it = handled.iter().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset);
        assert!(of_it.eq((0..10).chain(4..10)), "{handled:?}");
    }
    let mut puts = house.puts.lock().unwrap().clone();
    puts.sort_unstable();
    assert!(puts.into_iter().eq((0..PARTITIONS).map(|partition| (partition, 4))));
}

#[tokio::test]
async fn a_replay_to_a_topic_that_is_not_there_leaves_the_group_reading() {
    let house = House::new().await;
    let (stop, replays, member) = house.join_to_replay(1);
    let (answer, outcome) = oneshot::channel();
    let (group, topic) = (house.table.group.to_string(), "nowhere".to_owned());
    replays.send(replay::Request { group, topic, to: Start::Earliest, answer }).await.unwrap();
    let error = outcome.await.unwrap().unwrap_err();
    assert!(matches!(error, replay::Error::Log(log::Error::UnknownTopic(_))), "{error}");
    house.write(3).await;
    house.handles(3 * PARTITIONS as usize).await;
    stop.cancel();
    member.await.unwrap();
    house.assert_exact().await;
}
