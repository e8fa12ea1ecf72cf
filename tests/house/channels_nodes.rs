//! Two hosts whose topics are in one Kafka cluster have their channels together: what is said is
//! heard on both once and in order, also when one of them is killed, or the broker for a while.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{SinkExt, future::join_all};
use servers::Broker;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    support::{Host, PATIENCE},
    websocket::WebSocket,
};

const SENDERS: usize = 10;
const MESSAGES: u64 = 10_000;
/// It keeps everything: on a busy machine a killed host's connections end seconds later.
const ROOM: &str = "/rooms/lasting";

pub async fn start(dir: &Path) -> Broker {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Broker::start(Some(&dir))).await.unwrap()
}

pub fn settings(broker: &Broker, more: &str) -> String {
    let broker = broker.plain();
    format!(
        "[grants]\ndefault = \"needs\"\n[log]\nbackend = \"kafka\"\n\
         [log.kafka]\nbrokers = [\"{broker}\"]\n{more}"
    )
}

pub async fn two(components: &[&str], settings: &str) -> [Host; 2] {
    let start = || Host::start_with(components, settings);
    let (one, other) = tokio::join!(start(), start());
    [one, other]
}

/// Where clients come in; the addresses of hosts that are there.
type Doors = Arc<Mutex<Vec<String>>>;

fn doors(hosts: &[Host; 2]) -> Doors {
    Arc::new(Mutex::new(hosts.iter().map(|host| host.address("http")).collect()))
}

/// The door for the client of this number.
fn door(doors: &Doors, number: usize) -> String {
    let doors = doors.lock().unwrap();
    doors[number % doors.len()].clone()
}

/// Somebody who listens to an event stream, and comes back with the last `id` wherever there is a
/// host.
struct Listener {
    number: usize,
    doors: Doors,
    lines: Option<tokio::io::Lines<BufReader<TcpStream>>>,
    last: Option<String>,
    /// What came behind the last `id`.
    data: Option<String>,
    /// By sender: the number that is to come next.
    heard: HashMap<String, u64>,
}

impl Listener {
    async fn new(number: usize, doors: &Doors) -> Self {
        let (doors, heard) = (Arc::clone(doors), HashMap::new());
        let mut new = Self { number, doors, lines: None, last: None, data: None, heard };
        new.connect().await.unwrap();
        new
    }

    async fn connect(&mut self) -> std::io::Result<()> {
        let address = door(&self.doors, self.number);
        let mut stream = TcpStream::connect(&address).await?;
        let last = self.last.as_ref().map(|last| format!("last-event-id: {last}\r\n"));
        let head = format!(
            "GET {ROOM}?name=listener HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n{}\r\n",
            last.unwrap_or_default()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut lines = BufReader::new(stream).lines();
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let status = lines.next_line().await?.ok_or_else(ended)?;
        if !status.contains(" 200 ") {
            return Err(std::io::Error::other(status));
        }
        while !lines.next_line().await?.ok_or_else(ended)?.is_empty() {}
        (self.lines, self.data) = (Some(lines), None);
        Ok(())
    }

    /// The next text, and the sender's number if it is one's.
    async fn next(&mut self) -> String {
        loop {
            let line = match &mut self.lines {
                Some(lines) => lines.next_line().await.ok().flatten(),
                None => None,
            };
            let Some(line) = line else {
                self.lines = None;
                if self.connect().await.is_err() {
                    sleep(Duration::from_millis(20)).await;
                }
                continue;
            };
            if let Some(id) = line.strip_prefix("id: ") {
                // Nobody may lose the place without the data.
                self.data = Some(id.to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                self.last = self.data.take();
                let text = text.to_owned();
                self.count(&text);
                return text;
            }
        }
    }

    /// Everything of a sender comes once and in order.
    fn count(&mut self, text: &str) {
        let Some((name, number)) = text.split_once(": ") else { return };
        // Those who leave are told of, too.
        let Ok(number) = number.parse::<u64>() else { return };
        if name.ends_with(" left") {
            return;
        }
        let next = self.heard.entry(name.to_owned()).or_default();
        assert_eq!(number, *next, "of {name}, for listener {}", self.number);
        *next += 1;
    }

    /// Hear until a text has come.
    async fn until(&mut self, wanted: &str) {
        while self.next().await != wanted {}
    }

    fn total(&self) -> u64 {
        self.heard.values().sum()
    }

    /// Hear until it was all of all senders.
    async fn all(&mut self, messages: u64) {
        while self.total() < messages {
            self.next().await;
        }
        assert!(self.heard.len() == SENDERS, "{:?}", self.heard);
    }
}

/// Somebody who says numbers, each once the one before was heard.
struct Sender {
    name: String,
    doors: Doors,
    number: usize,
    socket: Option<WebSocket>,
    ear: Listener,
    syncs: u64,
}

impl Sender {
    async fn new(number: usize, doors: &Doors) -> Self {
        let ear = Listener::new(number, doors).await;
        let (name, doors) = (format!("s{number}"), Arc::clone(doors));
        let mut new = Self { name, doors, number, socket: None, ear, syncs: 0 };
        new.connect().await;
        new
    }

    async fn connect(&mut self) {
        let path = format!("{ROOM}?name={}", self.name);
        loop {
            let url = format!("ws://{}{path}", door(&self.doors, self.number));
            match tokio_tungstenite::connect_async(url).await {
                Ok((stream, _)) => return self.socket = Some(WebSocket(stream)),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Say something to all, if there is somebody to say it to.
    async fn say(&mut self, text: &str) {
        if let Some(socket) = &mut self.socket
            && socket.0.send(Message::text(format!("say {text}"))).await.is_err()
        {
            self.socket = None;
        }
    }

    /// Say the numbers.
    async fn talk(mut self, messages: u64) -> Listener {
        let mut next = 0;
        while next < messages {
            self.say(&next.to_string()).await;
            if self.hears(next).await {
                next += 1;
                continue;
            }
            // The host is gone. What it was told has been heard, or is behind what is said now.
            self.connect().await;
            self.syncs += 1;
            let sync = format!("sync {}", self.syncs);
            self.say(&sync).await;
            let heard = format!("{}: {sync}", self.name);
            self.ear.until(&heard).await;
            next = self.ear.heard.get(&self.name).copied().unwrap_or(0);
        }
        self.ear
    }

    /// Whether a number comes back, before the connection is found to be gone.
    async fn hears(&mut self, number: u64) -> bool {
        loop {
            if self.ear.heard.get(&self.name).is_some_and(|next| *next > number) {
                return true;
            }
            let Some(socket) = &mut self.socket else { return false };
            tokio::select! {
                _ = self.ear.next() => {}
                message = futures_util::StreamExt::next(&mut socket.0) => {
                    // What all hear comes here, too.
                    if !matches!(message, Some(Ok(_))) {
                        self.socket = None;
                    }
                }
            }
        }
    }
}

/// Have all say their part while something happens, and all hear everything.
async fn talk(doors: &Doors, messages: u64, meanwhile: impl Future<Output = ()>) {
    let mut listeners = Vec::new();
    for number in 0..4 {
        listeners.push(Listener::new(number, doors).await);
    }
    let senders = join_all((0..SENDERS).map(|number| Sender::new(number, doors))).await;
    let each = messages / SENDERS as u64;
    let talking = senders.into_iter().map(|sender| tokio::spawn(sender.talk(each)));
    let hearing = listeners.into_iter().map(|mut listener| {
        tokio::spawn(async move {
            listener.all(messages).await;
            listener
        })
    });
    let all = async {
        let ((), ears, listeners) = tokio::join!(meanwhile, join_all(talking), join_all(hearing));
        for ear in ears {
            let mut ear = ear.unwrap();
            ear.all(messages).await;
        }
        listeners.into_iter().for_each(|listener| assert_eq!(listener.unwrap().total(), messages));
    };
    timeout(PATIENCE * 3, all).await.expect("not all was heard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_reach_all_clients_of_two_hosts_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let hosts = two(&["rooms"], &settings(&broker, "")).await;
    let begun = std::time::Instant::now();
    talk(&doors(&hosts), MESSAGES, async {}).await;
    println!("{MESSAGES} messages took {:?}", begun.elapsed());
    for host in &hosts {
        let text = host.admin("/metrics").await.text();
        let of_topic = text.lines().filter(|line| line.starts_with("trellis_channel_"));
        println!("{}", of_topic.collect::<Vec<_>>().join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_host_that_is_killed_go_on_at_the_other_and_miss_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let mut hosts = two(&["rooms"], &settings(&broker, "")).await;
    let doors = doors(&hosts);
    let mut witness = Listener::new(1, &doors).await;
    let [killed, _other] = &mut hosts;
    let meanwhile = async {
        while witness.total() < MESSAGES / 3 {
            witness.next().await;
        }
        doors.lock().unwrap().remove(0);
        killed.kill();
        witness.all(MESSAGES).await;
    };
    talk(&doors, MESSAGES, meanwhile).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_gone_for_a_while_loses_nothing_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path()).await;
    let hosts = two(&["rooms"], &settings(&broker, "")).await;
    let doors = doors(&hosts);
    let mut witness = Listener::new(0, &doors).await;
    let mut again = None;
    let meanwhile = async {
        while witness.total() < MESSAGES / 10 {
            witness.next().await;
        }
        broker.kill();
        sleep(Duration::from_secs(3)).await;
        again = Some(start(dir.path()).await);
        witness.all(MESSAGES / 4).await;
    };
    talk(&doors, MESSAGES / 4, meanwhile).await;
    for host in &hosts {
        assert!(host.log().contains("trouble with the Kafka cluster"), "{}", host.log());
    }
}
