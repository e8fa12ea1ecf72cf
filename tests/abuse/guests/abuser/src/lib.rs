//! Does to its host whatever a test asks for: the last segment of the path names the deed, or the
//! configuration does for `start`, `save`, `stop` and the consumer.

mod compute;
mod fill;
mod flood;
mod hoard;
mod large;

use trellis_sdk::{
    config,
    consumer::{Batch, Failure},
    http::{Request, Response},
    lifecycle::Lifecycle,
};

trellis_sdk::http!(answer);
trellis_sdk::consumer!(consume);
trellis_sdk::lifecycle!(Abuser);

struct Abuser;

impl Lifecycle for Abuser {
    fn start(_saved: Option<Vec<u8>>) -> Result<(), String> {
        configured("start")
    }

    fn save() -> Vec<u8> {
        // What it cannot save is no reason to do so quietly.
        configured("save").unwrap_or_else(|problem| panic!("{problem}"));
        Vec::new()
    }

    fn stop() {
        configured("stop").unwrap_or_else(|problem| panic!("{problem}"));
    }
}

fn configured(hook: &str) -> Result<(), String> {
    match config::get(hook) {
        Some(deed) => perform(&deed, b"").map(drop),
        None => Ok(()),
    }
}

/// What became of the deed, for whoever still hears it.
pub fn answer(request: Request<'_>) -> Response {
    let deed = request.path().rsplit('/').next().unwrap_or_default();
    if deed == "headers" {
        return large::headers();
    }
    match perform(deed, request.body()) {
        Ok(text) => Response::text(text),
        Err(problem) => Response::text(problem).with_status(409),
    }
}

/// Every message gets the deed of the configuration.
pub fn consume(_batch: Batch<'_>) -> Result<(), Failure> {
    configured("consume").map_err(|problem| Failure::retry(0, problem))
}

/// The answer of a deed that ends by itself; the error is what the host had to say to it.
fn perform(deed: &str, given: &[u8]) -> Result<String, String> {
    match deed {
        "loop" => compute::spin(),
        "recurse" => Ok(compute::recurse(1).to_string()),
        "allocate" => compute::allocate(),
        "nap" => compute::nap(),
        "sleep" => compute::sleep(),
        "random" => compute::random(),
        "panic" => panic!("asked to panic"),
        "log" => flood::log(),
        "print" => flood::print(),
        "series" => flood::series(),
        "values" => flood::values(),
        "spam" => flood::spam(),
        "page" => Ok(large::page()),
        "line" => Ok(large::line()),
        "list" => large::list(),
        "buckets" => hoard::buckets(),
        "transactions" => hoard::transactions(),
        "fields" => hoard::fields(),
        "timers" => hoard::timers(),
        "calls" => hoard::calls(&String::from_utf8_lossy(given)),
        "keys" => fill::keys(),
        "rows" => fill::rows(),
        "query" => fill::query(),
        _ => Ok("harmless".to_owned()),
    }
}
