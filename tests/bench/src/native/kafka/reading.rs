//! Reading all partitions of a topic to their end, each on a thread of its own.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{
        BaseConsumer, Consumer, ConsumerGroupMetadata, DefaultConsumerContext,
        base_consumer::PartitionQueue,
    },
    message::BorrowedMessage,
};

use super::{PATIENCE, client, is_nothing};

/// How long a look into a queue waits for a message.
const LOOK: Duration = Duration::from_millis(100);

/// One partition of the topic.
pub struct Reader {
    queue: PartitionQueue<DefaultConsumerContext>,
    /// The members of the group, for transactions.
    pub group: ConsumerGroupMetadata,
    /// Which.
    pub partition: i32,
    /// Where it ends.
    pub end: u64,
}

impl Reader {
    /// The next message, if there is one now.
    pub fn next(&self) -> Result<Option<BorrowedMessage<'_>>> {
        match self.queue.poll(LOOK) {
            None => Ok(None),
            Some(Err(error)) if is_nothing(&error) => Ok(None),
            Some(message) => Ok(Some(message?)),
        }
    }
}

/// Give each partition of `topic` to `work`; the seconds until all are done.
pub fn run(
    broker: &str,
    topic: &str,
    group: &str,
    work: impl Fn(Reader) -> Result<()> + Send + Sync,
) -> Result<f64> {
    let mut config = client(broker);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "10");
    let consumer: Arc<BaseConsumer> = Arc::new(config.create()?);
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions = metadata.topics().first().context("no such topic")?.partitions();
    let (mut readers, mut list) = (Vec::new(), TopicPartitionList::new());
    for partition in partitions.iter().map(|partition| partition.id()) {
        let end = consumer.fetch_watermarks(topic, partition, PATIENCE)?.1;
        let queue = consumer.split_partition_queue(topic, partition).context("no queue")?;
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
        readers.push((queue, partition, u64::try_from(end)?));
    }
    let begun = Instant::now();
    consumer.assign(&list)?;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for (queue, partition, end) in readers {
            let group = consumer.group_metadata().context("the group is not known")?;
            let reader = Reader { queue, group, partition, end };
            let work = &work;
            threads.push(scope.spawn(move || work(reader).map(|()| Instant::now())));
        }
        while !threads.iter().all(|thread| thread.is_finished()) {
            // What is no message comes here.
            if let Some(Err(error)) = consumer.poll(LOOK)
                && !is_nothing(&error)
            {
                eprintln!("{error}");
            }
        }
        let mut ended = begun;
        for thread in threads {
            let thread =
                thread.join().map_err(|_| anyhow!("a partition was not read to its end"))?;
            ended = ended.max(thread?);
        }
        Ok(ended.duration_since(begun).as_secs_f64())
    })
}
