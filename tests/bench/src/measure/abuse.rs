//! `abuse`: an innocent plugin at a steady load, beside a hostile one that is quiet and active by
//! turns.
//!
//! The load is open: each request has its moment, and one that must wait for the answer before it
//! is late. Threads of their own ask, so that nothing but the host makes anybody wait.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::{
    house::House,
    report::{Against, Row, median},
};

/// How many times the quiet p99 it may be.
const LIMIT: f64 = 1.5;
/// Connections that ask the innocent plugin.
const INNOCENT: u32 = 8;
/// Connections that ask for the deed, and how long each waits before it does so again: an attack
/// from inside, not a flood of requests.
const HOSTILE: u32 = 8;
const PAUSE: Duration = Duration::from_millis(20);
/// The part of what the connections can ask at most that they do ask: little, because a machine
/// that is shared may become several times slower meanwhile, and full load measures queues.
const SHARE: f64 = 0.1;
/// So that what fills the disk comes to an end.
const SETTINGS: &str = "[sql]\nmax-bytes = \"64MiB\"\n";
/// The answer of the innocent plugin.
const WELL: &[u8] = b"\r\n\r\nwell";

/// The innocent plugin while the other does this, which is what its path says.
pub async fn beside(bench: &Bench, name: &str, deed: &str) -> Result<Vec<Row>> {
    let mut house = House::new(&bench.built, None, SETTINGS)?;
    house.install_all(&[bench.built.component("innocent")?, bench.built.component("abuser")?])?;
    house.run().await?;
    house.until_served("/innocent/").await?;
    house.until_served("/abuser/").await?;
    let (address, deed) = (house.address().to_owned(), deed.to_owned());
    let (seconds, rounds) = (bench.seconds, bench.rounds);
    let measuring = move || measure(&address, &deed, seconds, rounds);
    let (quiet, active, rate) = tokio::task::spawn_blocking(measuring).await??;
    house.until_served("/abuser/").await?;
    house.stop().await?;
    let (p99, quiet_p99) = (active.within(0.99), quiet.within(0.99));
    Ok(vec![Row {
        less_is_better: true,
        native: Some(quiet_p99),
        against: Against::Limit(LIMIT * quiet_p99),
        note: format!(
            "p99; native: quiet · p50 {:.2}, quiet {:.2} · {rate:.0} req/s · limit {LIMIT} × quiet",
            active.within(0.5),
            quiet.within(0.5),
        ),
        ..Row::new(name, "ms", p99)
    }])
}

/// The latencies of each window, sorted.
#[derive(Default)]
struct Windows(Vec<Vec<Duration>>);

impl Windows {
    fn add(&mut self, mut latencies: Vec<Duration>) {
        latencies.sort_unstable();
        self.0.push(latencies);
    }

    /// Milliseconds within which this part of the requests was answered in the middle one of the
    /// windows: a machine that stands still for a moment spoils one of them.
    fn within(&self, part: f64) -> f64 {
        let within = |window: &Vec<Duration>| {
            let at = (window.len() as f64 * part) as usize;
            let found = window.get(at.min(window.len().saturating_sub(1)));
            found.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        };
        median(&self.0.iter().map(within).collect::<Vec<_>>())
    }
}

/// The latencies while all is quiet, those beside the deed, and the rate.
fn measure(
    address: &str,
    deed: &str,
    seconds: u64,
    rounds: usize,
) -> Result<(Windows, Windows, f64)> {
    let window = Duration::from_secs(seconds);
    let most = ask_all(address, None, Duration::from_secs(1))?.len();
    let rate = most as f64 * SHARE;
    let gap = Duration::from_secs_f64(f64::from(INNOCENT) / rate);
    // Requests to an address where nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let given = silent.local_addr()?.to_string();
    let (mut quiet, mut active) = (Windows::default(), Windows::default());
    for _ in 0..rounds {
        quiet.add(ask_all(address, Some(gap), window)?);
        let enough = AtomicBool::new(false);
        let during = thread::scope(|scope| {
            for _ in 0..HOSTILE {
                scope.spawn(|| commit(address, deed, &given, &enough));
            }
            let during = ask_all(address, Some(gap), window);
            enough.store(true, Ordering::Relaxed);
            during
        });
        active.add(during?);
        // What is still under way ends at its deadline, and what it left is cleared away.
        thread::sleep(Duration::from_secs(2));
    }
    Ok((quiet, active, rate))
}

/// Ask the innocent plugin on all connections; `gap` lies between two requests of one, without it
/// there is none.
fn ask_all(address: &str, gap: Option<Duration>, window: Duration) -> Result<Vec<Duration>> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..INNOCENT)
            .map(|number| {
                let behind = gap.unwrap_or_default() * number / INNOCENT;
                scope.spawn(move || ask(address, gap, behind, window))
            })
            .collect();
        let mut latencies = Vec::new();
        for asked in asking {
            latencies.extend(asked.join().ok().context("a thread that asks has panicked")??);
        }
        Ok(latencies)
    })
}

fn ask(
    address: &str,
    gap: Option<Duration>,
    behind: Duration,
    window: Duration,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let mut latencies = Vec::new();
    let begun = Instant::now();
    let mut due = begun + behind;
    while due.duration_since(begun) < window {
        let wait = due.saturating_duration_since(Instant::now());
        thread::sleep(wait);
        // Late because of the answer before: that is the host's. Because of the clock: not.
        let asked = if wait.is_zero() { due } else { Instant::now() };
        let answer = connection.ask("GET /innocent/ HTTP/1.1\r\nhost: a\r\n\r\n")?;
        ensure!(answer.ends_with(WELL), "{}", String::from_utf8_lossy(answer));
        latencies.push(asked.elapsed());
        due = gap.map_or_else(Instant::now, |gap| due + gap);
    }
    Ok(latencies)
}

/// Ask for the deed again and again; whatever comes of it.
fn commit(address: &str, deed: &str, given: &str, enough: &AtomicBool) {
    if deed == "nothing" {
        return;
    }
    let length = given.len();
    let request = format!(
        "POST /abuser/{deed} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{given}"
    );
    let mut connection = None;
    while !enough.load(Ordering::Relaxed) {
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address),
        };
        // Where the host has closed it, another one is opened.
        connection = open
            .and_then(|mut open: Connection| {
                open.ask(&request)?;
                Ok(open)
            })
            .ok();
        thread::sleep(PAUSE);
    }
}

/// A connection whose answers have a `content-length`.
struct Connection {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { socket, answer: Vec::with_capacity(1024) })
    }

    fn ask(&mut self, request: &str) -> Result<&[u8]> {
        self.socket.write_all(request.as_bytes())?;
        self.answer.clear();
        let mut part = [0; 4096];
        while !is_whole(&self.answer) {
            let read = self.socket.read(&mut part)?;
            ensure!(read > 0, "the host closed a connection");
            self.answer.extend_from_slice(&part[..read]);
        }
        Ok(&self.answer)
    }
}

/// Whether an answer is there to its end.
fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0_usize);
    answer.len() >= head + 4 + length
}
