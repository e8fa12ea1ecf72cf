//! The spans of a batch, where its messages are traced.
//!
//! Each message whose record names a trace gets a span in that trace, so that whoever follows one
//! event sees who handled it. The first span stands for the call as well: what the guest does is
//! below it, and it links to where the other messages come from, as they link to it.

use std::collections::HashSet;

use super::table::Bound;
use crate::{
    backends::log::{Batch, Partition, record::Record},
    observe::traces::{self, MAX_LINKS, Span, SpanKind, TRACEPARENT, Trace},
    plugins::Generation,
    runtime::{CallError, exports::consumer::Failure},
};

/// The spans of a call: the call's own, then those of further messages. Empty where nothing is
/// traced.
pub struct Traced(Vec<Span>);

impl Traced {
    /// Begin the spans of a batch. Of very many messages, the first [`MAX_LINKS`] get one; several
    /// messages from the same place in a trace get one together.
    pub fn begin(
        batch: &Batch,
        partition: &Partition,
        bound: &Bound,
        generation: &Generation,
    ) -> Self {
        if !traces::on() {
            return Self(Vec::new());
        }
        let mut seen = HashSet::new();
        let named = |record: Record<'_>| {
            let header = record.tail.header(TRACEPARENT)?;
            let new = seen.len() < MAX_LINKS && seen.insert(header.to_vec());
            Some((record.offset, traces::named(header).filter(|_| new)?))
        };
        let messages: Vec<_> = batch.records().filter_map(named).collect();
        Self(spans(&messages, partition, |span| {
            span.note("messaging.system", "trellis");
            span.note("messaging.operation.type", "process");
            span.note("messaging.destination.name", partition.topic.clone());
            span.note("messaging.destination.partition.id", partition.partition.to_string());
            span.note("messaging.consumer.group.name", bound.table.group.clone());
            span.note("messaging.batch.message_count", i64::from(batch.count));
            span.note("trellis.plugin", generation.plugin.clone());
            span.note("trellis.generation", generation.number as i64);
        }))
    }

    /// Where what the guest does belongs.
    pub fn trace(&self) -> Option<Trace> {
        self.0.first().map(Span::trace)
    }

    /// The call has ended.
    pub fn end(mut self, outcome: &Result<Result<(), Failure>, CallError>) {
        for span in &mut self.0 {
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => span.fail("message", &failure.reason),
                Err(error) => span.fail(error.kind(), error),
            }
        }
    }
}

fn spans(
    messages: &[(u64, Trace)],
    partition: &Partition,
    describe: impl Fn(&mut Span),
) -> Vec<Span> {
    let Some(((_, first), others)) = messages.split_first() else { return Vec::new() };
    let name = || format!("process {}", partition.topic);
    let begin =
        |of: &Trace, links: Vec<Trace>| traces::child(of, SpanKind::Consumer, name(), links);
    let call = begin(first, others.iter().map(|(_, trace)| trace.clone()).collect());
    let link: Vec<_> = call.iter().map(Span::trace).collect();
    let others = others.iter().map(|(_, trace)| begin(trace, link.clone()));
    let all = std::iter::once(call).chain(others).flatten().zip(messages);
    all.map(|(mut span, (offset, _))| {
        describe(&mut span);
        span.note("messaging.kafka.offset", *offset as i64);
        span
    })
    .collect()
}
