//! Takes the steps of a case, one after the other, and tells what came of each.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderValue, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::{
    case::{Case, Deed, Produce, Request, Step},
    hosts::Hosts,
    house::{self, House, Plugin, Stage},
    look::{self, Came, Ends},
};
use crate::{
    backends::log::Outgoing,
    world::{Fixed, Heard},
};

/// The host that requests are sent to, unless they name another.
const AUTHORITY: HeaderValue = HeaderValue::from_static("localhost");
/// What is random follows from it.
const SEED: u64 = 0x0074_7265_6c6c_6973;

/// What came of a case.
#[derive(Debug)]
pub struct Outcome {
    /// Its steps; after an error the rest of them is missing.
    pub taken: Vec<Taken>,
    /// How long it took, with opening and closing the house.
    pub took: Duration,
    /// How long its plugin took to load before that.
    pub loading: Duration,
}

/// What came of a step.
#[derive(Debug)]
pub struct Taken {
    /// The line that it begins in.
    pub line: usize,
    /// Whether it is as expected.
    pub verdict: Verdict,
    /// What is to be expected of it, if `fresh` was asked for or something is expected.
    pub seen: Option<Value>,
    /// What the plugin wrote to its log meanwhile.
    pub heard: Vec<Heard>,
}

/// Whether a step is as expected.
#[derive(Debug)]
pub enum Verdict {
    /// It is.
    Passed,
    /// Something else was seen.
    Differs {
        /// What was expected.
        expected: Value,
        /// What was seen of that.
        seen: Value,
    },
    /// A call of another host was not the one that was due.
    WrongCall {
        /// The one that was due; null where none was.
        expected: Value,
        /// The one that came; null where none did.
        seen: Value,
    },
    /// It could not be taken, or not be looked at.
    Failed(String),
}

impl Outcome {
    /// Whether every step is as expected.
    pub fn passed(&self) -> bool {
        self.taken.iter().all(|step| matches!(step.verdict, Verdict::Passed))
    }
}

/// Try a case. With `fresh`, steps without an `expect` are looked at as well.
pub async fn play(stage: &Stage, plugin: &Plugin, case: &Case, fresh: bool) -> Outcome {
    let began = Instant::now();
    let hosts = Hosts::new(&case.upstream);
    let world = Fixed::new(case.now_ms, SEED, Box::new(hosts.clone()));
    let mut loading = Duration::ZERO;
    let taken = match House::open(stage, plugin, case, world).await {
        Ok(house) => {
            loading = house.loading;
            let taken = Play { house: &house, hosts, fresh }.steps(case).await;
            house.close().await;
            taken
        }
        Err(error) => {
            let line = case.steps.first().map_or(1, |step| step.line);
            let verdict = Verdict::Failed(format!("the plugin cannot serve: {error:#}"));
            vec![Taken { line, verdict, seen: None, heard: Vec::new() }]
        }
    };
    Outcome { taken, took: began.elapsed().saturating_sub(loading), loading }
}

struct Play<'a> {
    house: &'a House,
    hosts: Hosts,
    fresh: bool,
}

impl Play<'_> {
    async fn steps(&self, case: &Case) -> Vec<Taken> {
        let mut taken = Vec::new();
        for (number, step) in case.steps.iter().enumerate() {
            let last = number + 1 == case.steps.len();
            let line = step.line;
            let outcome = self.step(number + 1, step, last).await;
            let failed = outcome.is_err();
            let (verdict, seen, heard) = outcome.unwrap_or_else(|error| {
                let heard = self.house.world.take_heard();
                (Verdict::Failed(format!("{error:#}")), None, heard)
            });
            taken.push(Taken { line, verdict, seen, heard });
            if failed {
                break;
            }
        }
        taken
    }

    async fn step(
        &self,
        number: usize,
        step: &Step,
        last: bool,
    ) -> anyhow::Result<(Verdict, Option<Value>, Vec<Heard>)> {
        let House { backends, world, .. } = self.house;
        if !step.advance.is_zero() {
            world.advance(step.advance);
        }
        self.hosts.begin(&step.upstream);
        let before = look::ends(&*backends.log).await?;
        let (mut answer, mut produced, mut ends) = (None, None, before);
        match &step.deed {
            Deed::Request(request) => answer = Some(self.ask(number, request).await?),
            Deed::Produce(produce) => {
                produced = Some(produce.topic.as_str());
                self.produce(produce).await?;
            }
            // It looks at what all steps before it have left.
            Deed::Look => ends = Ends::new(),
        }
        self.house.settled().await?;
        let (calls, heard) = (self.hosts.calls(), world.take_heard());
        let came = Came { answer, ends, calls, heard };
        if let Some(wrong) = self.hosts.end(last).into_iter().next() {
            let verdict = Verdict::WrongCall { expected: wrong.expected, seen: wrong.seen };
            return Ok((verdict, None, came.heard));
        }
        let Some(expected) = &step.expect else {
            let seen = self.unexpected(step, &came, produced).await?;
            return Ok((Verdict::Passed, seen, came.heard));
        };
        let seen = look::see(self.house, expected, &came).await?;
        let verdict = match seen == *expected {
            true => Verdict::Passed,
            false => Verdict::Differs { expected: expected.clone(), seen: seen.clone() },
        };
        Ok((verdict, Some(seen), came.heard))
    }

    /// What may be expected of a step that expects nothing yet, if that is asked for.
    async fn unexpected(
        &self,
        step: &Step,
        came: &Came,
        produced: Option<&str>,
    ) -> anyhow::Result<Option<Value>> {
        if !self.fresh || matches!(step.deed, Deed::Look) {
            return Ok(None);
        }
        let shape = look::shape(self.house, came, produced).await?;
        let seen = look::see(self.house, &shape, came).await?;
        Ok(Some(seen).filter(|seen| seen.as_object().is_some_and(|seen| !seen.is_empty())))
    }

    /// Send a request and read its answer to the end.
    async fn ask(&self, number: usize, request: &Request) -> anyhow::Result<http::Response<Bytes>> {
        let Request { method, path, headers, body } = request;
        let mut asked = http::Request::new(Full::new(body.clone()));
        *asked.method_mut() = method.clone();
        *asked.uri_mut() = path.clone().into();
        *asked.headers_mut() = headers.clone();
        asked.headers_mut().entry(HOST).or_insert(AUTHORITY);
        // Elsewhere it is random.
        asked.headers_mut().entry("x-request-id").or_insert(HeaderValue::from(number));
        let stream = TokioIo::new(self.house.connect());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
        let connection = tokio::spawn(connection);
        let answering = async {
            let answer = sender.send_request(asked).await.context("there was no answer")?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.context("the answer broke off")?.to_bytes();
            anyhow::Ok(http::Response::from_parts(head, body))
        };
        let answer = tokio::time::timeout(self.patience(), answering).await;
        drop(sender);
        connection.abort();
        answer.context("the answer does not end")?
    }

    /// A little more than a call may take.
    fn patience(&self) -> Duration {
        self.house.manifest().limits.deadline() + house::PATIENCE
    }

    async fn produce(&self, produce: &Produce) -> anyhow::Result<()> {
        let log = &*self.house.backends.log;
        house::create(log, &produce.topic).await?;
        let mut records = Vec::new();
        for record in &produce.records {
            let headers = record.headers.iter();
            let headers: Vec<_> =
                headers.map(|(name, value)| (name.as_str(), Some(&value[..]))).collect();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            let mut outgoing = Outgoing::new(produce.topic.as_str().into(), key, value, &headers);
            outgoing.timestamp_ms = record.time_ms;
            outgoing.check()?;
            records.push(outgoing);
        }
        for (number, landed) in log.produce(records).await.into_iter().enumerate() {
            if let Err(error) = landed {
                bail!("record {} was refused: {error}", number + 1);
            }
        }
        Ok(())
    }
}
