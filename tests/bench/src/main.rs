//! Measures plugins beside the same work done natively and beside other hosts.
//!
//! ```text
//! main ─▶ measure::{hello, wasi, tracker, consume, drop, reload, idle, fanout, radio, ...} ─▶ report
//!            │ house: the host        native: the same work without a plugin
//!            │ peer: another host     wrk, client, listeners, radio: the load
//! ```
//!
//! Each server is a process of its own; in each round each has its turn, so that a machine that
//! is slower for a while is slower for all.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use bench::{built, client, fill, house, process};
use clap::{Parser, Subcommand};

mod canary;
mod dialog;
mod listeners;
mod machine;
mod measure;
mod native;
mod peer;
mod radio;
mod replay;
mod report;
mod soak;
mod sockets;
mod wrk;

/// The allocator of the host, so that native code has it as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measure plugins beside the same work done natively, and beside other hosts.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure; everything when nothing is named. A name stands for all that begin with
    /// it, `http-hello` for four.
    names: Vec<String>,
    /// Seconds of each run of a round.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often each side has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Records that a consumer reads in a round.
    #[arg(long, default_value_t = 2_000_000)]
    messages: u64,
    /// Let servers and load share all processors.
    #[arg(long)]
    unpinned: bool,
    /// One JSON object a line: name, unit, plugin, native, peer, ratio, against, note.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the hosts that are compared with, once.
    Peers,
    /// Send each line of an access log as an event.
    Replay(replay::Arguments),
    /// Split requests between two versions and count them; drop bad versions and time the host.
    Canary(canary::Arguments),
    /// Send events for long while plugins are replaced, and watch the host's memory.
    Soak(soak::Arguments),
    /// Connect websockets or streams and publish to them.
    #[command(hide = true)]
    Listeners(listeners::Arguments),
    /// Play to a radio station.
    #[command(hide = true)]
    RadioSource(radio::source::Arguments),
    /// Listen to it, by the thousand.
    #[command(hide = true)]
    RadioAudience(radio::audience::Arguments),
    /// Run one of the native programs.
    #[command(subcommand, hide = true)]
    Native(native::Native),
    /// Write so many events to a topic of a host that does not run.
    Fill {
        /// The host's data directory.
        #[arg(long)]
        data: PathBuf,
        /// The topic, which is created.
        #[arg(long, default_value = "events")]
        topic: String,
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        messages: u64,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        None => measure(arguments).await,
        Some(Command::Peers) => peer::install(),
        Some(Command::Replay(arguments)) => replay::run(arguments).await,
        Some(Command::Canary(arguments)) => canary::run(arguments).await,
        Some(Command::Soak(arguments)) => soak::run(arguments).await,
        Some(Command::Listeners(arguments)) => listeners::run(&arguments),
        Some(Command::RadioSource(arguments)) => radio::source::run(&arguments),
        Some(Command::RadioAudience(arguments)) => radio::audience::run(&arguments),
        Some(Command::Native(native)) => native.run().await,
        Some(Command::Fill { data, topic, messages }) => {
            fill::fill(&data, &[&topic], messages).await
        }
    }
}

async fn measure(arguments: Arguments) -> Result<()> {
    let names = chosen(&arguments.names)?;
    let bench = measure::Bench {
        built: built::Built::make()?,
        seconds: arguments.seconds,
        rounds: arguments.rounds,
        messages: arguments.messages,
        pinned: !arguments.unpinned,
    };
    if !arguments.json {
        machine::describe().iter().for_each(|line| println!("{line}"));
        println!("\n{}", report::heading());
    }
    let mut missing = 0;
    for name in names {
        match bench.measure(name).await {
            Ok(rows) if arguments.json => rows.iter().for_each(|row| println!("{}", row.json())),
            Ok(rows) => rows.iter().for_each(|row| println!("{}", row.line())),
            Err(error) => {
                missing += 1;
                eprintln!("{name}: {error:#}");
            }
        }
    }
    ensure!(missing == 0, "{missing} measurements could not be taken");
    Ok(())
}

/// The measurements that begin with what was asked for.
fn chosen(asked: &[String]) -> Result<Vec<&'static str>> {
    for name in asked {
        let known = measure::NAMES.iter().any(|known| known.starts_with(name));
        ensure!(known, "`{name}` is none of {}", measure::NAMES.join(", "));
    }
    let wanted =
        |known: &&&str| asked.is_empty() || asked.iter().any(|name| known.starts_with(name));
    Ok(measure::NAMES.iter().filter(wanted).copied().collect())
}
