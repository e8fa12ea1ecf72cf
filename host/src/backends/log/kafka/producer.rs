//! Writing: one producer for the whole host, so that the sends of many plugins share requests.
//!
//! ```text
//! send ─▶ room (bytes) ─▶ librdkafka: queue of the partition ─▶ one request for many sends
//!   ▲                                                                  │ all in-sync replicas
//!   └─ told ◀─ Call: one answer a record ◀── delivery report ◀─────────┘
//! ```
//! One task tells all who wait: the reports of a request come at once, on a thread of the client's,
//! and a thread that is none of the runtime's would wake a worker for each.
//!
//! Records that were handed over stay in the queue while no broker can be reached, up to the
//! delivery timeout; only then a send fails.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    super::{Error, Held, Landed, Position, Result, record::Tail},
    catalog::Catalog,
    clients::{Clients, blocking},
    entry::Placed,
    health::Ears,
    packing,
};

/// What a record takes in the queue besides its bytes.
const OVERHEAD: usize = 256;
/// So many who wait are told before the next are looked for.
const TOLD_AT_ONCE: usize = 256;

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
    /// Where calls go that are answered. They hold no room any more; whoever waits for one sends
    /// nothing else meanwhile, which bounds them.
    answered: mpsc::UnboundedSender<Answered>,
}

/// A producer, made when it is first needed and again after it has failed for good.
struct Line {
    single: bool,
    current: ArcSwapOption<ThreadedProducer<Deliveries>>,
    making: tokio::sync::Mutex<()>,
}

impl Producer {
    /// No producer yet. Must be called within a runtime, on which a task runs until this is dropped.
    pub fn new(clients: Arc<Clients>, catalog: Arc<Catalog>) -> Self {
        let bytes = clients.settings().queue_bytes.as_usize().clamp(1 << 20, u32::MAX as usize);
        let line = |single| Line {
            single,
            current: ArcSwapOption::empty(),
            making: tokio::sync::Mutex::default(),
        };
        let (answered, calls) = mpsc::unbounded_channel();
        tokio::spawn(tell(calls));
        Self {
            clients,
            catalog,
            answered,
            shared: line(false),
            single: line(true),
            room: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// Hand records over, and answer what becomes of each, in order, once all are durable or
    /// refused.
    pub async fn send(
        &self,
        records: Vec<Placed>,
        held: Held,
    ) -> impl Future<Output = Landed> + Send + 'static + use<> {
        let count = records.len();
        let sent = self.hand_over(records, held).await;
        async move {
            let landed = match sent {
                Ok(landed) => landed.await.map_err(|_| lost()),
                Err(error) => Err(error),
            };
            landed.unwrap_or_else(|error| vec![Err(error); count])
        }
    }

    async fn hand_over(
        &self,
        records: Vec<Placed>,
        held: Held,
    ) -> Result<oneshot::Receiver<Landed>> {
        let (done, landed) = oneshot::channel();
        if records.is_empty() {
            // Nobody has gone: the answer waits for whoever looks.
            let _ = done.send(Vec::new());
            return Ok(landed);
        }
        let bytes: usize = records.iter().map(|record| record.tail.len() + OVERHEAD).sum();
        let bytes = u32::try_from(bytes.min(self.bytes)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await;
        let room = room.map_err(|_| Error::Unavailable("it is closed".into()))?;
        let shared = self.line(&self.shared, records.iter().any(|record| !record.single)).await?;
        let single = self.line(&self.single, records.iter().any(|record| record.single)).await?;
        let call = Arc::new(Mutex::new(Call::new(records.len(), done, (room, held))));
        for (index, record) in records.iter().enumerate() {
            let producer = if record.single { &single } else { &shared };
            if let Some(producer) = producer {
                self.send_one(producer, record, Ticket { call: Arc::clone(&call), index });
            }
        }
        Ok(landed)
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
            message.delivery_opaque.answer(Err(refusal), &self.answered);
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
        let (single, answered) = (line.single, self.answered.clone());
        let made = blocking(move || {
            let context = Deliveries {
                ears: Ears::new("producer", &clients.health),
                clients: Arc::clone(&clients),
                catalog,
                answered,
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

/// What is said of a record of which nothing was heard.
pub fn lost() -> Error {
    Error::Unavailable("the producer gave no answer".into())
}

/// One send: answered as a whole, when its last record is.
struct Call {
    answers: Landed,
    left: usize,
    done: Option<oneshot::Sender<Landed>>,
    /// Given back when all is answered, also when nobody waits any longer.
    _room: (OwnedSemaphorePermit, Held),
}

impl Call {
    fn new(
        count: usize,
        done: oneshot::Sender<Landed>,
        room: (OwnedSemaphorePermit, Held),
    ) -> Self {
        // None of these is told: all are replaced before.
        let unknown = || Err(Error::Unavailable(String::new()));
        let answers = (0..count).map(|_| unknown()).collect();
        Self { answers, left: count, done: Some(done), _room: room }
    }

    /// Note an answer; all of them, with the last.
    fn answer(&mut self, index: usize, answer: Result<Position>) -> Option<Answered> {
        self.answers[index] = answer;
        self.left -= 1;
        let done = if self.left == 0 { self.done.take() } else { None };
        done.map(|done| Answered { landed: mem::take(&mut self.answers), done })
    }
}

/// A call whose last record was answered.
struct Answered {
    landed: Landed,
    done: oneshot::Sender<Landed>,
}

/// Tell those who wait what became of their records.
async fn tell(mut calls: mpsc::UnboundedReceiver<Answered>) {
    let mut answered = Vec::with_capacity(TOLD_AT_ONCE);
    while calls.recv_many(&mut answered, TOLD_AT_ONCE).await > 0 {
        for Answered { landed, done } in answered.drain(..) {
            // Whoever sent may have gone.
            let _ = done.send(landed);
        }
    }
}

/// One record of a call on its way.
pub struct Ticket {
    call: Arc<Mutex<Call>>,
    index: usize,
}

impl Ticket {
    fn answer(self, answer: Result<Position>, answered: &mpsc::UnboundedSender<Answered>) {
        let mut call = self.call.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = call.answer(self.index, answer) {
            // Nobody tells when the runtime ends, and nobody waits then.
            let _ = answered.send(all);
        }
    }
}

/// Hears what becomes of each record, on the producer's own thread.
pub struct Deliveries {
    ears: Ears,
    clients: Arc<Clients>,
    catalog: Arc<Catalog>,
    answered: mpsc::UnboundedSender<Answered>,
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
        let answer = match delivered {
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
        };
        ticket.answer(answer, &self.answered);
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
