//! Transactions: the outputs of a batch and the offset behind it, both or neither.
//!
//! Each input partition of a group has a transactional id of its own. So whoever takes a partition
//! over ends the transaction that its last owner left open, at once and not when it times out; and
//! an owner that does not know yet that it was replaced can write no more.
//!
//! ```text
//! begin ─ records ─ offset, with the generation of the group ─ commit
//!    └──── failed: abort, nothing happened ─────┘                └─ failed: nobody knows; a new
//!                                                                   client with the same id asks
//!                                                                   the cluster to end it
//! ```
//! Everything here waits for the cluster, on a thread that may.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use tokio::runtime::Handle;

use super::{
    super::{Error, Partition, Result, record::Tail},
    catalog::Catalog,
    clients::{ANSWER, Clients},
    entry::Placed,
    health::Ears,
    packing, producer,
};

/// Between two looks at how many records are still on their way.
const LOOK: Duration = Duration::from_millis(1);
/// How long an abort may take before the client is replaced instead.
const ABORT: Duration = Duration::from_secs(5);
/// How long one step of it may take before reports are looked for again.
const ABORT_STEP: Duration = Duration::from_millis(50);

/// The transactions of one partition's reader.
pub struct Session {
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    id: String,
    producer: Option<BaseProducer<Reports>>,
    /// Whether it puts one record in a set: some topic takes no larger ones.
    single: bool,
    /// Whether it is not known how the last transaction ended.
    doubtful: bool,
}

/// Why a transaction did not happen, as far as one knows.
#[derive(Debug)]
pub enum Failed {
    /// The group has changed; with its new generation it may work.
    Generation,
    /// Something else.
    Other(Error),
}

impl Session {
    /// The transactions of a group's reader of a partition; no client yet.
    pub fn new(
        clients: &Arc<Clients>,
        catalog: &Arc<Catalog>,
        group: &str,
        place: &Partition,
    ) -> Self {
        let Partition { topic, partition } = place;
        Self {
            clients: Arc::clone(clients),
            catalog: Arc::clone(catalog),
            // No topic has a slash in its name.
            id: format!("trellis/{topic}/{partition}/{group}"),
            producer: None,
            single: false,
            doubtful: false,
        }
    }

    /// Have the cluster end whatever was begun under this id.
    pub fn settle(&mut self) -> Result<()> {
        if self.doubtful || self.producer.is_none() {
            self.producer = None;
            self.producer()?;
        }
        Ok(())
    }

    /// Whether it is not known how the last transaction ended.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Write outputs and commit offsets, both or neither.
    pub fn commit(
        &mut self,
        outputs: &[Placed],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> std::result::Result<(), Failed> {
        if outputs.iter().any(|output| output.single) && !self.single {
            (self.single, self.producer) = (true, None);
        }
        let patience = self.clients.settings().transaction_timeout.into();
        let (clients, catalog) = (Arc::clone(&self.clients), Arc::clone(&self.catalog));
        let producer = self.producer().map_err(Failed::Other)?;
        let deadline = Instant::now() + patience;
        let step = match write(producer, outputs, offsets, group, deadline) {
            Ok(()) => commit(producer, deadline),
            Err(error) => Err(Step::Write(error)),
        };
        let Err(step) = step else {
            clients.health.well();
            return Ok(());
        };
        let (error, aborted) = match step {
            Step::Write(error) => (error, abort(producer)),
            Step::Commit(error) => {
                let abortable = requires_abort(&error);
                (error, abortable && abort(producer))
            }
        };
        // Of a refused record it may have been heard only meanwhile.
        let error = producer.context().take_failure().unwrap_or(error);
        if !aborted {
            // Whatever the cluster made of it: a new client with the same id ends it, and knows.
            self.doubtful = true;
            if let Err(error) = self.settle() {
                tracing::debug!(id = self.id, %error, "a transaction is not ended yet");
            }
        }
        if is_generation(&error) {
            return Err(Failed::Generation);
        }
        Err(Failed::Other(match (&error, outputs) {
            (KafkaError::MessageProduction(_), [first, ..]) => {
                producer::refusal(&clients, &catalog, &error, &first.topic, first.partition)
            }
            _ => clients.health.failed("the transaction was not committed", &error),
        }))
    }

    fn producer(&mut self) -> Result<&BaseProducer<Reports>> {
        let clients = &self.clients;
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => {
                let context = Reports {
                    ears: Ears::new("transactions", &clients.health),
                    failed: Mutex::default(),
                };
                let config = clients.transactional(&self.id, self.single);
                let made: KafkaResult<BaseProducer<_>> = config.create_with_context(context);
                let made = made.map_err(|error| clients.health.failed("no producer", &error))?;
                begin_anew(&made)
                    .map_err(|error| clients.health.failed("no transaction begins", &error))?;
                self.doubtful = false;
                made
            }
        };
        Ok(self.producer.insert(producer))
    }
}

impl Drop for Session {
    /// The end of a client waits for its threads: that happens where it may.
    fn drop(&mut self) {
        let producer = self.producer.take();
        if let (Some(producer), Ok(runtime)) = (producer, Handle::try_current()) {
            runtime.spawn_blocking(move || drop(producer));
        }
    }
}

/// Which step went wrong.
enum Step {
    /// Nothing was committed.
    Write(KafkaError),
    /// It may have been.
    Commit(KafkaError),
}

/// Fence all clients before this one, and end what they began.
fn begin_anew(producer: &BaseProducer<Reports>) -> KafkaResult<()> {
    let deadline = Instant::now() + ANSWER;
    loop {
        match producer.init_transactions(left(deadline)) {
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline => {}
            done => return done,
        }
    }
}

fn write(
    producer: &BaseProducer<Reports>,
    outputs: &[Placed],
    offsets: &TopicPartitionList,
    group: &ConsumerGroupMetadata,
    deadline: Instant,
) -> KafkaResult<()> {
    producer.begin_transaction()?;
    producer.context().take_failure();
    for output in outputs {
        let tail = Tail(&output.tail);
        let message: BaseRecord<'_, [u8], [u8]> = BaseRecord {
            topic: &output.topic,
            partition: Some(output.partition),
            payload: tail.value(),
            key: tail.key(),
            timestamp: output.timestamp_ms,
            headers: packing::headers(tail),
            delivery_opaque: (),
        };
        producer.send(message).map_err(|(error, _)| error)?;
    }
    producer.send_offsets_to_transaction(offsets, group, left(deadline))?;
    await_records(producer, deadline)
}

/// Wait until all records are written, or the first one is refused: the others may not be sent then.
/// librdkafka tells only of those that are not written, and its own wait either keeps a processor
/// busy or lasts for a tenth of a second.
fn await_records(producer: &BaseProducer<Reports>, deadline: Instant) -> KafkaResult<()> {
    while producer.in_flight_count() > 0 && producer.context().failed().is_none() {
        if Instant::now() >= deadline {
            return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut));
        }
        listen(producer);
    }
    // Left there: what is heard later of others is not why.
    producer.context().failed().clone().map_or(Ok(()), Err)
}

/// Hear what there is to hear, and give what is under way a moment.
fn listen(producer: &BaseProducer<Reports>) {
    let mut left = producer.in_flight_count();
    loop {
        // It hears of the records of one partition at a time.
        producer.poll(Duration::ZERO);
        match producer.in_flight_count() {
            fewer if fewer < left => left = fewer,
            _ => break,
        }
    }
    thread::sleep(LOOK);
}

fn commit(producer: &BaseProducer<Reports>, deadline: Instant) -> std::result::Result<(), Step> {
    loop {
        match producer.commit_transaction(left(deadline)) {
            Ok(()) => return Ok(()),
            // The same call again asks how it went.
            Err(KafkaError::Transaction(error))
                if error.is_retriable()
                    && !error.txn_requires_abort()
                    && Instant::now() < deadline => {}
            Err(error) => return Err(Step::Commit(error)),
        }
    }
}

/// Whether nothing is left of the transaction.
fn abort(producer: &BaseProducer<Reports>) -> bool {
    let deadline = Instant::now() + ABORT;
    loop {
        match producer.abort_transaction(ABORT_STEP) {
            Ok(()) => return true,
            // It goes on once it was heard what became of the records.
            Err(KafkaError::Transaction(error))
                if error.is_retriable() && Instant::now() < deadline =>
            {
                listen(producer);
            }
            Err(_) => return false,
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(100))
}

fn was_thrown_away(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
    )
}

fn requires_abort(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.txn_requires_abort())
}

fn is_generation(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::FencedInstanceId
        )
    )
}

/// Hears why a record of a transaction was not written.
struct Reports {
    ears: Ears,
    failed: Mutex<Option<KafkaError>>,
}

impl Reports {
    fn failed(&self) -> MutexGuard<'_, Option<KafkaError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_failure(&self) -> Option<KafkaError> {
        self.failed().take()
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.ears.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // Told to whoever commits.
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::Fenced) => {}
            _ => self.ears.error(error, reason),
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, (): ()) {
        // One that was thrown away was so because of something else that went wrong.
        if let Err((error, _)) = delivered
            && !was_thrown_away(error)
        {
            self.failed().get_or_insert_with(|| error.clone());
        }
    }
}
