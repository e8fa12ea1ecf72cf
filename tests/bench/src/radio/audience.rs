//! All listeners of a station on one thread, in a process of its own.

use std::{
    ffi::OsString,
    io::ErrorKind,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, TryRecvError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use super::player::Player;
use crate::dialog::{Dialog, hear, say};

/// Events that are looked at together.
const EVENTS: usize = 1024;
/// What one read takes at most.
const READ: usize = 128 << 10;
/// How often it is looked for orders.
const LOOK: Duration = Duration::from_millis(10);
/// From one who comes to the next: Icecast has room for five at its door.
const GAP: Duration = Duration::from_millis(2);
/// How long all may take to be let in, and a title to come to all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is connected where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The server.
    #[arg(long)]
    to: SocketAddr,
    /// The path of the mount.
    #[arg(long)]
    path: String,
    /// How many listen.
    #[arg(long)]
    count: u32,
}

/// How long to listen, and for which title.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// At least.
    pub seconds: u64,
    /// What all are told before it is over.
    pub title: String,
}

/// What was heard.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// From the order until all were told.
    pub seconds: f64,
    /// Bytes of audio of the one who has the fewest, ...
    pub least: u64,
    /// ... and of the one who has the most.
    pub most: u64,
}

/// Connect, and do what each line of the input orders until it ends.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut players = Players::connect(arguments)?;
    let (sender, orders) = mpsc::channel();
    hear(move |order| Ok(sender.send(order)?));
    say("ready")?;
    while let Some(order) = players.wait(&orders)? {
        say(&serde_json::to_string(&players.carry_out(&order)?)?)?;
    }
    Ok(())
}

struct Players {
    poll: Poll,
    events: Events,
    players: Vec<Player>,
    buffer: Vec<u8>,
    title: Vec<u8>,
}

impl Players {
    /// Connect them all, and wait until they are let in.
    fn connect(arguments: &Arguments) -> Result<Self> {
        let (events, buffer) = (Events::with_capacity(EVENTS), vec![0; READ]);
        let (players, title) = (Vec::new(), Vec::new());
        let mut all = Self { poll: Poll::new()?, events, players, buffer, title };
        let (begun, mut last) = (Instant::now(), Instant::now());
        let count = arguments.count as usize;
        while all.players.len() < count || all.knocking() > 0 {
            ensure!(begun.elapsed() < PATIENCE, "{} are not let in", all.knocking());
            if all.players.len() < count && last.elapsed() >= GAP {
                all.add(arguments)?;
                last = Instant::now();
            }
            all.turn(GAP)?;
        }
        Ok(all)
    }

    fn add(&mut self, arguments: &Arguments) -> Result<()> {
        let index = self.players.len();
        let mut player = Player::connect(arguments.to, &arguments.path)
            .with_context(|| format!("listener {index}"))?;
        let registry = self.poll.registry();
        registry.register(player.stream(), Token(index), Interest::READABLE)?;
        self.players.push(player);
        Ok(())
    }

    /// Those who are not in yet.
    fn knocking(&self) -> usize {
        self.players.iter().filter(|player| !player.is_in()).count()
    }

    /// Listen until there is an order; `None` when nobody gives any more.
    fn wait(&mut self, orders: &Receiver<Result<Order>>) -> Result<Option<Order>> {
        loop {
            match orders.try_recv() {
                Ok(order) => return order.map(Some),
                Err(TryRecvError::Disconnected) => return Ok(None),
                Err(TryRecvError::Empty) => self.turn(LOOK)?,
            }
        }
    }

    fn carry_out(&mut self, order: &Order) -> Result<Outcome> {
        order.title.as_bytes().clone_into(&mut self.title);
        for player in &mut self.players {
            (player.audio, player.is_told) = (0, false);
        }
        let (begun, end) = (Instant::now(), Duration::from_secs(order.seconds));
        while begun.elapsed() < end || !self.players.iter().all(|player| player.is_told) {
            let untold = || self.players.iter().filter(|player| !player.is_told).count();
            ensure!(begun.elapsed() < end + PATIENCE, "{} were not told the title", untold());
            self.turn(LOOK)?;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let audio = || self.players.iter().map(|player| player.audio);
        let (least, most) = (audio().min().unwrap_or(0), audio().max().unwrap_or(0));
        Ok(Outcome { seconds, least, most })
    }

    /// Wait for something to come, at most so long, and take it.
    fn turn(&mut self, timeout: Duration) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            if let Some(player) = self.players.get_mut(event.token().0) {
                player.read(&mut self.buffer, &self.title)?;
                ensure!(!event.is_read_closed(), "the server closed a listener's connection");
            }
        }
        Ok(())
    }
}

/// An audience that listens until this is dropped.
pub struct Audience(Dialog);

impl Audience {
    /// Have so many listen to a mount, from a process on these processors.
    pub async fn connect(to: &str, path: &str, count: u32, pins: Option<&str>) -> Result<Self> {
        let count = count.to_string();
        let arguments =
            ["radio-audience", "--to", to, "--path", path, "--count", &count].map(OsString::from);
        Ok(Self(Dialog::start(&arguments, pins).await?))
    }

    /// The processor time that it has had, in seconds; it is one thread.
    pub fn processor_time(&self) -> Result<f64> {
        self.0.processor_time()
    }

    /// Listen as ordered.
    pub async fn listen(&mut self, order: &Order) -> Result<Outcome> {
        self.0.ask(order).await
    }
}
