//! Feeds a target, or all of them, so many inputs.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use fuzz::{Verdict, mutate::mutate, targets::Target};

/// How often it is told how far it is.
const TOLD: Duration = Duration::from_secs(10);

/// Feed the host foreign bytes: changed, cut and made-up inputs at each of its doors.
#[derive(Debug, Parser)]
#[command(
    name = "fuzz",
    after_help = "\
Examples:
  fuzz intake --inputs 100000      changed, cut and random components
  fuzz                             every door
  fuzz edge --seed 7               the inputs of an earlier run again

Components come from the directory that TRELLIS_TEST_COMPONENTS names."
)]
struct Arguments {
    /// Which doors; all when none is named.
    #[arg(value_enum)]
    targets: Vec<Target>,
    /// Inputs for each.
    #[arg(long, default_value_t = 2000)]
    inputs: u64,
    /// Makes the inputs of an earlier run again.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let targets = match arguments.targets.as_slice() {
        [] => Target::ALL.to_vec(),
        some => some.to_vec(),
    };
    for target in targets {
        feed(target, arguments.inputs, seed)?;
    }
    Ok(())
}

fn feed(target: Target, inputs: u64, seed: u64) -> Result<()> {
    let (begun, seeds) = (Instant::now(), target.seeds()?);
    ensure!(!seeds.is_empty(), "{} has no inputs to begin with", target.name());
    // Said first: nobody says anything once the process has crashed.
    eprintln!("{}: {inputs} inputs of {} with seed {seed}", target.name(), seeds.len());
    let (mut door, mut random) = (target.open()?, fastrand::Rng::with_seed(seed));
    let mut taken = 0;
    for right in &seeds {
        door.feed(right);
    }
    let mut told = Instant::now();
    for number in 1..=inputs {
        let right = &seeds[random.usize(..seeds.len())];
        let input = mutate(right, &seeds, &mut random);
        taken += u64::from(door.feed(&input) == Verdict::Taken);
        if told.elapsed() >= TOLD {
            told = Instant::now();
            eprintln!("{}: {number} of {inputs} after {:.0?}", target.name(), begun.elapsed());
        }
    }
    println!(
        "{}: {} inputs refused, {taken} still right, in {:.1?}",
        target.name(),
        inputs - taken,
        begun.elapsed()
    );
    Ok(())
}
