//! A Redis that dies, and a bad network before it: the cache may forget, but it never makes
//! anything up, never goes back to a value that was replaced, and keeps nobody waiting.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bench::{client::Client, house::House};
use http::StatusCode;
use servers::Redis;
use tokio::time::{Instant, sleep};

use super::{Outcome, Plan};
use crate::{
    behind::Behind,
    proxy::Fault,
    stage::{Kind, Stage},
};

/// The plugin that keeps values.
const PLUGIN: &str = "abacus";
/// Clients, each with a key of its own.
const CLIENTS: usize = 8;
/// The longest that a request may take, whatever the cache does.
const ANSWER: Duration = Duration::from_secs(10);
/// Within this time after the last fault values are kept again.
const WELL_AGAIN: Duration = Duration::from_secs(30);

/// Kill Redis and make its door bad while clients set values and look.
pub async fn play(plan: &mut Plan) -> Result<Outcome> {
    let (stage, mut redis) = (Stage::new(Kind::Embedded).await?, Behind::<Redis>::open().await?);
    let address = redis.door().address();
    let settings =
        format!("[cache]\nbackend = \"redis\"\n[cache.redis]\naddress = \"{address}\"\n");
    let mut house = House::new(&stage.built, None, &settings)?;
    house.install_all(&[stage.built.component(PLUGIN)?])?;
    house.run().await?;
    let enough = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let url = house.url(&format!("/{PLUGIN}"));
            tokio::spawn(Keys::new(url, number).run(house.client.clone(), enough.clone()))
        })
        .collect();
    for round in 1..=plan.rounds {
        sleep(plan.pause()).await;
        let fault = Fault::any(&mut plan.random);
        let pause = plan.pause();
        if plan.random.u8(..4) == 0 {
            redis.kill().await?;
            sleep(pause).await;
            redis.start().await?;
            eprintln!("fault {round}: killed for {pause:?}");
        } else {
            redis.door().make(fault);
            sleep(pause).await;
            redis.door().make(Fault::None);
            eprintln!("fault {round}: {fault:?} for {pause:?}");
        }
    }
    well_again(&house).await?;
    enough.store(true, Ordering::Relaxed);
    let (mut kept, mut refused) = (0, 0);
    for client in clients {
        let keys = client.await?.with_context(|| house.said())?;
        (kept, refused) = (kept + keys.kept, refused + keys.refused);
    }
    house.kill();
    Ok(Outcome::Cache { rounds: plan.rounds, kept, refused })
}

async fn well_again(house: &House) -> Result<()> {
    let (begun, url) = (Instant::now(), house.url(&format!("/{PLUGIN}/set/after/1")));
    while house.client.get(&url).await?.0 != StatusCode::OK {
        ensure!(begun.elapsed() < WELL_AGAIN, "the cache keeps nothing: {}", house.said());
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A client and what may be there under its key, besides nothing.
struct Keys {
    url: String,
    number: usize,
    /// The last value that was acknowledged.
    last: Option<String>,
    /// Values without an answer: they may come late.
    open: HashSet<String>,
    kept: usize,
    refused: usize,
}

impl Keys {
    fn new(url: String, number: usize) -> Self {
        Self { url, number, last: None, open: HashSet::new(), kept: 0, refused: 0 }
    }

    async fn run(mut self, client: Client, enough: Arc<AtomicBool>) -> Result<Self> {
        for value in 0_u64.. {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            self.set(&client, format!("{}-{value}", self.number)).await?;
            self.look(&client).await?;
        }
        Ok(self)
    }

    async fn set(&mut self, client: &Client, value: String) -> Result<()> {
        if self.ask(client, &format!("set/key-{}/{value}", self.number)).await?.is_some() {
            (self.last, self.kept) = (Some(value), self.kept + 1);
        } else {
            self.open.insert(value);
            self.refused += 1;
        }
        Ok(())
    }

    async fn look(&self, client: &Client) -> Result<()> {
        let Some(found) = self.ask(client, &format!("get/key-{}", self.number)).await? else {
            return Ok(());
        };
        let known = found == "nothing" || Some(&found) == self.last.as_ref();
        let last = &self.last;
        ensure!(known || self.open.contains(&found), "`{found}` is there after {last:?}");
        Ok(())
    }

    /// What is said; `None` where the cache could not.
    async fn ask(&self, client: &Client, deed: &str) -> Result<Option<String>> {
        let begun = Instant::now();
        let (status, body) = client.get(&format!("{}/{deed}", self.url)).await?;
        ensure!(begun.elapsed() < ANSWER, "`{deed}` took {:?}", begun.elapsed());
        let text = String::from_utf8_lossy(&body).into_owned();
        ensure!(matches!(status.as_u16(), 200 | 409), "`{deed}`: {status} {text}");
        Ok((status == StatusCode::OK).then_some(text))
    }
}
