//! Clients that send numbered events, whatever happens to the hosts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bench::client::Client;
use futures_util::future::join_all;
use http::Request;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::history::{Number, Sent};

/// Clients that send at the same time.
const CLIENTS: u32 = 16;
/// How long a client rests when a host is away or refuses.
const REST: Duration = Duration::from_millis(5);
/// Within this time after the last fault an event is acknowledged again.
const RECOVERED: Duration = Duration::from_secs(60);

/// Where clients send, whether they are to go on, and how it goes.
#[derive(Default)]
struct Aim {
    urls: Mutex<Vec<String>>,
    over: AtomicBool,
    acknowledged: AtomicUsize,
}

/// Clients at work.
pub struct Load {
    aim: Arc<Aim>,
    clients: Vec<JoinHandle<Sent>>,
}

impl Load {
    /// Let clients send to these addresses, each one event after the other, until [`Self::stop`].
    pub fn start(urls: Vec<String>) -> Self {
        let aim = Arc::new(Aim { urls: Mutex::new(urls), ..Aim::default() });
        let client = |number| tokio::spawn(client(number, Arc::clone(&aim)));
        Self { clients: (0..CLIENTS).map(client).collect(), aim }
    }

    /// From now on the hosts answer here.
    pub fn aim(&self, urls: Vec<String>) {
        *self.aim.urls.lock().unwrap_or_else(PoisonError::into_inner) = urls;
    }

    /// Once all is well again and an event was acknowledged: let each client end with the event it
    /// is at; what all of them know.
    pub async fn stop(self) -> Result<Sent> {
        let recovered = timeout(RECOVERED, self.acknowledges()).await;
        recovered.with_context(|| {
            format!("no event was acknowledged in {RECOVERED:?}, though all is well again")
        })?;
        self.aim.over.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for client in join_all(self.clients).await {
            let own = client?;
            all.acknowledged.extend(own.acknowledged);
            all.unanswered.extend(own.unanswered);
        }
        Ok(all)
    }

    /// Until an event is acknowledged that was not before.
    async fn acknowledges(&self) {
        let before = self.aim.acknowledged.load(Ordering::Relaxed);
        while self.aim.acknowledged.load(Ordering::Relaxed) == before {
            sleep(REST).await;
        }
    }
}

async fn client(number: u32, aim: Arc<Aim>) -> Sent {
    let (mut sent, mut count, http) = (Sent::default(), 0, Client::default());
    while !aim.over.load(Ordering::Relaxed) {
        let url = {
            let urls = aim.urls.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (number + count) as usize;
            urls.get(turn % urls.len().max(1)).cloned()
        };
        let Some(url) = url else {
            sleep(REST).await;
            continue;
        };
        let event = Number::new(number, count);
        count += 1;
        match send(&http, &url, event).await {
            Ok(true) => {
                sent.acknowledged.insert(event);
                aim.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            // Plugins that are not live yet, a queue that is full, a host that is gone: not stored,
            // but who knows.
            Ok(false) | Err(_) => {
                sent.unanswered.insert(event);
                sleep(REST).await;
            }
        }
    }
    sent
}

/// Whether the event was acknowledged. Each client has an address of its own, so that its events
/// have one key.
async fn send(http: &Client, url: &str, event: Number) -> Result<bool> {
    let request = Request::get(format!("{url}/{}?n={}", event.kind(), event.0))
        .header("x-forwarded-for", format!("198.51.100.{}", event.client() + 1));
    let (status, _) = http.send(request.body(Default::default())?).await?;
    Ok(status.is_success())
}
