//! Says more than anybody can hear: lines, numbers, records.

use trellis_sdk::{
    log, metrics,
    producer::{Record, Records, describe},
};

/// Lines of the length that is just kept whole.
pub fn log() -> ! {
    let line = "~".repeat(8 << 10);
    loop {
        log::error(&line);
    }
}

/// The same through the standard output, which is cut into lines.
pub fn print() -> ! {
    let line = "~".repeat(63);
    loop {
        println!("{line}");
    }
}

/// A new series with every number.
pub fn series() -> ! {
    for number in 0_u64.. {
        let value = number.to_string();
        metrics::count("flood", &[("number", &value)], 1);
        metrics::observe("floods", &[("number", &value)], 1.0);
    }
    unreachable!("numbers do not end")
}

/// One distribution, and no end of observations.
pub fn values() -> ! {
    loop {
        metrics::observe("flooded", &[], 1.0);
    }
}

/// Records, as many as a send may have, one send after the other.
pub fn spam() -> Result<String, String> {
    let mut records = Records::new();
    for _ in 0..1000 {
        records.push(&Record::to("spam").value(&[b'~'; 1000]));
    }
    loop {
        records.send().map_err(|error| describe(&error).to_string())?;
    }
}
