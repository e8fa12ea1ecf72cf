//! The loop of one partition: read, hand over, judge, go on.
//!
//! One batch at a time is handed over, so order holds. Reading ahead and committing run beside
//! it. The loop ends between two calls when it is told to stop, and lets the call in flight end
//! first.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    commits::Broken,
    dead_letter::{self, Origin},
    handler::{Fault, Handler, Verdict},
    meters::Meters,
    retry::{Backoff, Deed, Piece, Plan, Sentence},
    source::Source,
    table::Table,
    topics::Topics,
};
use crate::{
    backends::log::{self, Batch, Log, Outgoing, Partition, Reader},
    manifest::Delivery,
    runtime::exports::consumer::{Action, Failure},
};

/// How long a partition that stops waits for its last commit to be durable. What is not, comes
/// again.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// Why a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// Another member has it.
    Fenced,
}

/// One partition and who handles it.
pub struct Loop<H> {
    source: Source,
    handler: H,
    log: Arc<dyn Log>,
    topics: Topics,
    partition: Partition,
    meters: Meters,
    backoff: Backoff,
    stop: CancellationToken,
}

/// Why a batch was left before its end.
enum Leave {
    Stopped,
    Broken(Broken),
    /// The partition goes on at this offset.
    Moved(u64),
}

impl From<Broken> for Leave {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl<H: Handler> Loop<H> {
    /// The loop of the partition that `reader` reads.
    pub fn new(
        log: Arc<dyn Log>,
        reader: Box<dyn Reader>,
        handler: H,
        stop: CancellationToken,
    ) -> Self {
        let table = handler.table();
        let partition = reader.partition().clone();
        Self {
            meters: Meters::of(&table, &partition.topic, partition.partition),
            source: Source::new(reader),
            topics: Topics::new(log.clone()),
            backoff: Backoff::default(),
            handler,
            log,
            partition,
            stop,
        }
    }

    /// Run until it is stopped or another member has the partition.
    pub async fn run(mut self) -> End {
        let end = match self.start().await {
            Ok(()) => self.batches().await,
            Err(_) => End::Stopped,
        };
        let settled = timeout(LAST_COMMIT, self.source.settle()).await;
        // Whoever has the partition now tells how much is left.
        self.meters.lag.set(0.0);
        match settled {
            Ok(Ok(())) if end == End::Stopped => End::Stopped,
            Ok(Err(Broken::Fenced)) | Ok(Ok(())) => {
                self.meters.fenced.increment(1);
                End::Fenced
            }
            Ok(Err(Broken::Doubtful)) | Err(_) => {
                let Partition { topic, partition } = &self.partition;
                tracing::warn!(%topic, partition, "the last commit did not come through; its messages come again");
                end
            }
        }
    }

    /// Go where the plugin's database says, where it is the one to know.
    async fn start(&mut self) -> Result<(), Leave> {
        loop {
            match self.handler.place().await {
                Ok(place) => {
                    self.goes_on();
                    if let Some(offset) = place {
                        self.source.seek(offset);
                    }
                    return Ok(());
                }
                Err(fault) => self.rest(&fault).await?,
            }
        }
    }

    async fn batches(&mut self) -> End {
        loop {
            let table = self.handler.table();
            let read = tokio::select! {
                biased;
                () = self.stop.cancelled() => return End::Stopped,
                read = self.source.batch(&table.consume.batch) => read,
            };
            let done = match read {
                Ok(batch) => self.work_off(&batch).await,
                Err(broken) => Err(Leave::Broken(broken)),
            };
            match done {
                Ok(()) => {}
                Err(Leave::Stopped) => return End::Stopped,
                Err(Leave::Moved(offset)) => self.source.seek(offset),
                Err(Leave::Broken(Broken::Fenced)) => return End::Fenced,
                Err(Leave::Broken(Broken::Doubtful)) => {
                    tokio::select! {
                        biased;
                        () = self.stop.cancelled() => return End::Stopped,
                        recovered = self.source.recover() => {
                            if recovered.is_err() {
                                return End::Fenced;
                            }
                        }
                    }
                }
            }
        }
    }

    /// Bring every message of a batch to its end.
    async fn work_off(&mut self, batch: &Batch) -> Result<(), Leave> {
        let mut plan = Plan::new(batch.count);
        self.meters.lag.set((batch.behind + u64::from(batch.count)) as f64);
        while let Some(piece) = plan.next() {
            let table = self.handler.table();
            self.ready(&table).await?;
            match piece.deed.clone() {
                Deed::Hand(pause) if !pause.is_zero() => {
                    self.meters.retries.increment(1);
                    self.hold(pause).await?;
                    plan.waited();
                }
                Deed::Hand(_) => {
                    let piece = piece.clone();
                    self.hand_over(&table, batch, &piece, &mut plan).await?;
                }
                Deed::Bury { reason, attempts } => {
                    let index = piece.range.start;
                    self.bury(&table, batch, index, attempts, &reason).await?;
                    plan.done();
                }
            }
        }
        self.meters.lag.set(batch.behind as f64);
        Ok(())
    }

    /// Whether the next piece may start.
    async fn ready(&mut self, table: &Table) -> Result<(), Leave> {
        if self.stop.is_cancelled() {
            return Err(Leave::Stopped);
        }
        tokio::select! {
            biased;
            room = self.source.room(&table.consume.batch) => Ok(room?),
            () = self.stop.cancelled() => Err(Leave::Stopped),
        }
    }

    /// Hand one piece over and let the plan know what came of it.
    async fn hand_over(
        &mut self,
        table: &Table,
        batch: &Batch,
        piece: &Piece,
        plan: &mut Plan,
    ) -> Result<(), Leave> {
        let range = piece.range.clone();
        let part = match range.len() as u32 == batch.count {
            true => batch.clone(),
            false => batch.slice(range.start, range.end),
        };
        let began = Instant::now();
        let outcome = self.call(table, &part).await;
        let outcome = self.judge(part.count, outcome).await;
        self.meters.batches.increment(1);
        self.meters.seconds.record(began.elapsed().as_secs_f64());
        match outcome {
            Ok(Ok(outputs)) => {
                self.goes_on();
                self.meters.messages.increment(u64::from(part.count));
                self.source.done(outputs, part.next);
                plan.done();
            }
            Ok(Err(failure)) => {
                self.goes_on();
                self.failed(table, batch, range.start, failure, plan);
            }
            Err(Fault::Guest(_)) if range.len() > 1 => {
                self.goes_on();
                plan.halve();
            }
            Err(Fault::Guest(reason)) => {
                self.goes_on();
                let failure = Failure { index: 0, reason, action: Action::Retry(None) };
                self.failed(table, batch, range.start, failure, plan);
            }
            Err(fault) => self.rest(&fault).await?,
        }
        Ok(())
    }

    /// Call the plugin; read ahead and commit meanwhile.
    async fn call(&mut self, table: &Table, part: &Batch) -> Result<Verdict, Fault> {
        let call = self.handler.handle(part);
        tokio::pin!(call);
        tokio::select! {
            biased;
            // First, so that the next read is under way before the guest takes this thread.
            _broken = self.source.work(&table.consume.batch) => {}
            outcome = &mut call => return outcome,
        }
        // A call cannot be taken back; what is broken shows once it has ended.
        call.await
    }

    /// What a verdict cannot be taken for: outputs the log would refuse, a message that was not
    /// in the batch.
    async fn judge(
        &mut self,
        count: u32,
        outcome: Result<Verdict, Fault>,
    ) -> Result<Verdict, Fault> {
        let verdict = outcome?;
        match &verdict {
            Ok(outputs) if outputs.is_empty() => Ok(verdict),
            Ok(outputs) => match self.topics.refusal(outputs).await {
                Ok(None) => Ok(verdict),
                Ok(Some(refusal)) => Err(Fault::Guest(refusal.to_string())),
                Err(error) => Err(Fault::Host(error.to_string())),
            },
            Err(failure) if failure.index < count => Ok(verdict),
            Err(failure) => {
                let reason = format!("it failed message {} of a batch of {count}", failure.index);
                Err(Fault::Guest(reason))
            }
        }
    }

    /// Note a message that failed, with its index in a piece that begins at `start`.
    fn failed(
        &mut self,
        table: &Table,
        batch: &Batch,
        start: u32,
        failure: Failure,
        plan: &mut Plan,
    ) {
        let Failure { index, reason, action } = failure;
        let index = start + index;
        let Partition { topic, partition } = &self.partition;
        let offset = batch.slice(index, index + 1).first();
        tracing::warn!(plugin = %table.plugin, %topic, partition, offset, reason, "a message failed");
        let sentence = match action {
            Action::Retry(pause) => Sentence::Retry(pause),
            Action::DeadLetter => Sentence::DeadLetter,
        };
        let rolls_back = table.rolls_back();
        if !rolls_back && index > start {
            let before = batch.slice(start, index);
            self.meters.messages.increment(u64::from(before.count));
            self.source.done(Vec::new(), before.next);
        }
        plan.failed(index, reason, sentence, rolls_back, &table.consume.retry);
    }

    /// Send a message to the dead-letter topic and go on behind it.
    async fn bury(
        &mut self,
        table: &Table,
        batch: &Batch,
        index: u32,
        attempts: u32,
        reason: &str,
    ) -> Result<(), Leave> {
        let message = batch.slice(index, index + 1);
        let (from, next) = (message.first().unwrap_or(message.next), message.next);
        let outputs = loop {
            match self.try_bury(table, batch, index, attempts, reason).await {
                Ok(outputs) => break outputs,
                Err(error) => self.rest(&Fault::Host(error.to_string())).await?,
            }
        };
        while let Err(fault) = self.handler.pass(from, next).await {
            self.rest(&fault).await?;
        }
        self.goes_on();
        self.meters.dead_letters.increment(1);
        self.meters.messages.increment(1);
        self.source.done(outputs, next);
        Ok(())
    }

    /// Write the dead letter, or under `exactly-once-topics` answer what to commit.
    async fn try_bury(
        &mut self,
        table: &Table,
        batch: &Batch,
        index: u32,
        attempts: u32,
        reason: &str,
    ) -> log::Result<Vec<Outgoing>> {
        let name = table.dead_letter(&self.partition.topic);
        let topic = self.topics.dead_letter(&name, &self.partition.topic).await?;
        let Some(record) = batch.records().nth(index as usize) else { return Ok(Vec::new()) };
        let origin = Origin {
            partition: &self.partition,
            plugin: &table.plugin,
            generation: self.handler.generation(),
            attempts,
            reason,
        };
        let letter = dead_letter::letter(&topic, &record, &origin);
        if table.consume.delivery == Delivery::ExactlyOnceTopics {
            return Ok(vec![letter]);
        }
        for landed in self.log.produce(vec![letter]).await {
            landed?;
        }
        Ok(Vec::new())
    }

    /// Wait after something that is no message's fault. It is told once, however long it takes.
    async fn rest(&mut self, fault: &Fault) -> Result<(), Leave> {
        match fault {
            Fault::Stopped => return Err(Leave::Stopped),
            Fault::Moved(offset) => return Err(Leave::Moved(*offset)),
            Fault::Guest(_) | Fault::Host(_) => {}
        }
        if self.backoff.is_fresh() {
            let (table, Partition { topic, partition }) = (self.handler.table(), &self.partition);
            tracing::warn!(plugin = %table.plugin, %topic, partition, error = %fault, "a batch waits");
        }
        let pause = self.backoff.pause();
        self.wait(sleep(pause)).await
    }

    /// Nothing keeps the batch from going on any longer.
    fn goes_on(&mut self) {
        if let Some(waited) = self.backoff.reset() {
            let (table, Partition { topic, partition }) = (self.handler.table(), &self.partition);
            tracing::info!(plugin = %table.plugin, %topic, partition, ?waited, "the batch goes on");
        }
    }

    /// Let a message wait for its next attempt.
    async fn hold(&mut self, pause: Duration) -> Result<(), Leave> {
        let world = self.handler.world();
        self.wait(world.pause(pause)).await
    }

    /// Wait, while reading ahead and committing go on.
    async fn wait(&mut self, time: impl Future<Output = ()>) -> Result<(), Leave> {
        let table = self.handler.table();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Leave::Stopped),
            broken = self.source.work(&table.consume.batch) => Err(broken.into()),
            () = time => Ok(()),
        }
    }
}
