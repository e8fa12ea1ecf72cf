//! Counts its requests in memory and hands the count to the next generation; its `start` fails in
//! the way its configuration asks for.

use std::sync::atomic::{AtomicU64, Ordering};

use trellis_sdk::{
    http::{Request, Response},
    lifecycle::Lifecycle,
};

trellis_sdk::http!(answer);
trellis_sdk::lifecycle!(Keeper);

static REQUESTS: AtomicU64 = AtomicU64::new(0);

struct Keeper;

impl Lifecycle for Keeper {
    fn start(saved: Option<Vec<u8>>) -> Result<(), String> {
        let saved = saved.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes);
        REQUESTS.store(saved, Ordering::Relaxed);
        match trellis_sdk::config::get("start").unwrap_or_default().as_str() {
            "panic" => panic!("asked to panic in `start`"),
            "refuse" => Err("asked to refuse".to_owned()),
            "hang" => loop {
                std::hint::spin_loop();
            },
            _ => Ok(()),
        }
    }

    fn save() -> Vec<u8> {
        REQUESTS.load(Ordering::Relaxed).to_le_bytes().to_vec()
    }

    fn stop() {
        trellis_sdk::log::info(format_args!("stopped after {}", REQUESTS.load(Ordering::Relaxed)));
    }
}

/// How many requests were answered, this one included.
pub fn answer(_request: Request<'_>) -> Response {
    Response::text((REQUESTS.fetch_add(1, Ordering::Relaxed) + 1).to_string())
}
