//! The short form: a fixed number of inputs for each door.

#![allow(clippy::unwrap_used, missing_docs)]

use fuzz::{Verdict, mutate::mutate, targets::Target};

/// Feed a door; how many inputs it refused.
fn feed(target: Target, inputs: u64) -> u64 {
    let (seed, seeds) = (fastrand::u64(..), target.seeds().unwrap());
    eprintln!("seed {seed}");
    let (mut door, mut random) = (target.open().unwrap(), fastrand::Rng::with_seed(seed));
    for right in &seeds {
        door.feed(right);
    }
    let mut refused = 0;
    for _ in 0..inputs {
        let right = &seeds[random.usize(..seeds.len())];
        refused += u64::from(door.feed(&mutate(right, &seeds, &mut random)) == Verdict::Refused);
    }
    refused
}

#[test]
fn wrong_manifests_are_refused() {
    assert!(feed(Target::Manifest, 20_000) > 10_000);
}

#[test]
fn wrong_components_are_refused() {
    assert!(feed(Target::Intake, 1_000) > 300);
}

#[test]
fn wrong_requests_are_refused() {
    assert!(feed(Target::Edge, 2_000) > 500);
}

#[test]
fn wrong_packed_values_are_refused() {
    assert!(feed(Target::Border, 100_000) > 10_000);
}

#[test]
fn wrong_files_of_the_log_are_refused_or_show_less() {
    feed(Target::Segment, 100);
}

#[test]
fn every_right_input_is_taken() {
    for target in Target::ALL {
        let mut door = target.open().unwrap();
        for (number, right) in target.seeds().unwrap().iter().enumerate() {
            if target != Target::Edge && target != Target::Manifest {
                assert_eq!(door.feed(right), Verdict::Taken, "{target:?} {number}");
            }
        }
    }
}
