//! Writing: one producer for the whole host, so that the sends of many plugins share requests.
//!
//! ```text
//! send ─▶ room (bytes) ─▶ librdkafka: queue of the partition ─▶ one request for many sends
//!   ▲                                                                  │ all in-sync replicas
//!   └──────────── Call: one answer a record ◀── delivery report ◀──────┘
//! ```
//! Records that were handed over stay in the queue while no broker can be reached, up to the
//! delivery timeout; only then a send fails.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use rdkafka::{
    ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    super::{Error, Position, Result, record::Tail},
    catalog::Catalog,
    clients::{Clients, blocking},
    entry::Placed,
    health::Ears,
    packing,
};

/// What a record takes in the queue besides its bytes.
const OVERHEAD: usize = 256;

/// The producers of the host.
pub struct Producer {
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    /// Many records a request.
    shared: Line,
    /// One record a set, for topics that take no larger ones.
    single: Line,
    room: Arc<Semaphore>,
    /// All of the room.
    bytes: usize,
}

/// A producer, made when it is first needed and again after it has failed for good.
struct Line {
    single: bool,
    current: ArcSwapOption<ThreadedProducer<Deliveries>>,
    making: tokio::sync::Mutex<()>,
}

impl Producer {
    /// No producer yet.
    pub fn new(clients: Arc<Clients>, catalog: Arc<Catalog>) -> Self {
        let bytes = clients.settings().queue_bytes.as_usize().clamp(1 << 20, u32::MAX as usize);
        let line = |single| Line {
            single,
            current: ArcSwapOption::empty(),
            making: tokio::sync::Mutex::default(),
        };
        Self {
            clients,
            catalog,
            shared: line(false),
            single: line(true),
            room: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// Write records and wait until each is durable or refused: one answer a record, in order.
    pub async fn send(&self, records: Vec<Placed>) -> Vec<Result<Position>> {
        let count = records.len();
        match self.hand_over(records).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(error); count],
        }
    }

    async fn hand_over(&self, records: Vec<Placed>) -> Result<Vec<Result<Position>>> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: usize = records.iter().map(|record| record.tail.len() + OVERHEAD).sum();
        let bytes = u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| Error::Unavailable("it is closed".into()))?;
        let (done, answered) = oneshot::channel();
        let call = Arc::new(Call {
            answers: Mutex::new((0..records.len()).map(|_| None).collect()),
            left: AtomicUsize::new(records.len()),
            done: Mutex::new(Some(done)),
            _room: room,
        });
        let shared = self.line(&self.shared, records.iter().any(|record| !record.single)).await?;
        let single = self.line(&self.single, records.iter().any(|record| record.single)).await?;
        for (index, record) in records.iter().enumerate() {
            let producer = if record.single { &single } else { &shared };
            if let Some(producer) = producer {
                self.send_one(producer, record, Ticket { call: Arc::clone(&call), index });
            }
        }
        let lost = || Error::Unavailable("the producer gave no answer".into());
        answered.await.map_err(|_| lost())?;
        let answers = std::mem::take(&mut *call.lock());
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(lost()))).collect())
    }

    fn send_one(&self, producer: &ThreadedProducer<Deliveries>, record: &Placed, ticket: Ticket) {
        let tail = Tail(&record.tail);
        let message = BaseRecord {
            topic: &record.topic,
            partition: Some(record.partition),
            payload: tail.value(),
            key: tail.key(),
            timestamp: record.timestamp_ms,
            headers: packing::headers(tail),
            delivery_opaque: Box::new(ticket),
        };
        if let Err((error, message)) = producer.send(message) {
            let refusal =
                refusal(&self.clients, &self.catalog, &error, &record.topic, record.partition);
            message.delivery_opaque.answer(Err(refusal));
        }
    }

    /// The producer of a line, if it is wanted.
    async fn line(
        &self,
        line: &Line,
        wanted: bool,
    ) -> Result<Option<Arc<ThreadedProducer<Deliveries>>>> {
        if !wanted {
            return Ok(None);
        }
        let sound = |producer: &Arc<ThreadedProducer<Deliveries>>| {
            !producer.context().broken.load(Ordering::Relaxed)
        };
        if let Some(producer) = line.current.load_full().filter(sound) {
            return Ok(Some(producer));
        }
        let _turn = line.making.lock().await;
        if let Some(producer) = line.current.load_full().filter(sound) {
            return Ok(Some(producer));
        }
        let (clients, catalog) = (Arc::clone(&self.clients), Arc::clone(&self.catalog));
        let single = line.single;
        let made = blocking(move || {
            let context = Deliveries {
                ears: Ears::new("producer", &clients.health),
                clients: Arc::clone(&clients),
                catalog,
                broken: AtomicBool::new(false),
            };
            let made = clients.producer(single).create_with_context(context);
            made.map_err(|error| clients.health.failed("no producer", &error))
        });
        let made = Arc::new(made.await?);
        let old = line.current.swap(Some(Arc::clone(&made)));
        // Its end waits for its threads.
        tokio::task::spawn_blocking(move || drop(old));
        Ok(Some(made))
    }

    /// Wait until what was handed in is answered, at most so long; nothing more is taken.
    pub async fn close(&self, patience: Duration) {
        let all = u32::try_from(self.bytes).unwrap_or(u32::MAX);
        let empty = tokio::time::timeout(patience, self.room.acquire_many(all)).await;
        if empty.is_err() {
            tracing::warn!("records were not acknowledged before the end");
        }
        self.room.close();
        let old = [self.shared.current.swap(None), self.single.current.swap(None)];
        let dropped = tokio::task::spawn_blocking(move || drop(old)).await;
        if let Err(error) = dropped {
            tracing::error!(%error, "a producer did not end cleanly");
        }
    }
}

/// One send: answered as a whole, when its last record is.
struct Call {
    answers: Mutex<Vec<Option<Result<Position>>>>,
    left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
    /// Given back when all is answered, also when nobody waits any longer.
    _room: OwnedSemaphorePermit,
}

impl Call {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Result<Position>>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One record of a call on its way.
pub struct Ticket {
    call: Arc<Call>,
    index: usize,
}

impl Ticket {
    fn answer(self, answer: Result<Position>) {
        self.call.lock()[self.index] = Some(answer);
        if self.call.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.call.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(done) = done {
                // Whoever sent may have gone.
                let _ = done.send(());
            }
        }
    }
}

/// Hears what becomes of each record, on the producer's own thread.
pub struct Deliveries {
    ears: Ears,
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    /// It will not write again.
    broken: AtomicBool,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.ears.log(level, facility, line);
    }

    fn stats_raw(&self, json: &[u8]) {
        self.ears.stats_raw(json);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.ears.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, delivered: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        ticket.answer(match delivered {
            Ok(message) => {
                self.ears.health().well();
                Ok(Position {
                    partition: u32::try_from(message.partition()).unwrap_or_default(),
                    offset: u64::try_from(message.offset()).unwrap_or(Position::UNKNOWN),
                })
            }
            Err((error, message)) => {
                let (topic, partition) = (message.topic(), message.partition());
                Err(refusal(&self.clients, &self.catalog, error, topic, partition))
            }
        });
    }
}

/// Why a record was not written.
pub fn refusal(
    clients: &Clients,
    catalog: &Catalog,
    error: &KafkaError,
    topic: &str,
    partition: i32,
) -> Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            catalog.forget(topic);
            Error::UnknownTopic(topic.to_owned())
        }
        Some(RDKafkaErrorCode::UnknownPartition) => {
            catalog.forget(topic);
            let partition = u32::try_from(partition).unwrap_or_default();
            Error::UnknownPartition { topic: topic.to_owned(), partition }
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge) => {
            // The topic allows less than it did.
            catalog.forget(topic);
            clients.health.unavailable(format_args!("topic `{topic}` allows no such record now"))
        }
        Some(RDKafkaErrorCode::MessageTimedOut) => {
            clients.health.unavailable("no acknowledgement came in time")
        }
        _ => clients.health.failed("a record was not written", error),
    }
}
