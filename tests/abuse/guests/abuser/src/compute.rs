//! Takes the processor, or the memory that it computes in.

use std::{hint::black_box, time::Instant};

use trellis_sdk::keyvalue::Store;
use wasip2::{clocks::monotonic_clock, random::random::get_random_bytes};

/// Never comes back.
pub fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Calls itself until the stack ends.
pub fn recurse(depth: u64) -> u64 {
    let deeper = if black_box(depth) == 0 { 0 } else { recurse(depth + 1) };
    black_box(deeper).wrapping_add(1)
}

/// Takes memory until there is none.
pub fn allocate() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Computes for somewhat less than the host looks away, asks it for a trifle, and again: whoever
/// waits now and then seems to leave the processor to others.
pub fn nap() -> Result<String, String> {
    let store = Store::open("default").map_err(|error| format!("{error:?}"))?;
    loop {
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 6 {
            black_box(begun);
        }
        store.get("trifle").map_err(|error| format!("{error:?}"))?;
    }
}

/// Waits for an hour.
pub fn sleep() -> ! {
    loop {
        monotonic_clock::subscribe_duration(3_600_000_000_000).block();
    }
}

/// Lets the host make noise without end.
pub fn random() -> ! {
    loop {
        black_box(get_random_bytes(16 << 20));
    }
}
