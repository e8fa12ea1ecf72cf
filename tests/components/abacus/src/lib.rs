//! Computes values slowly and remembers them, and fails in the middle of a computation when asked
//! to: `/<name>/<deed>/<key>/<value>`.

use std::{fmt::Debug, thread, time::Duration};

use trellis_sdk::{
    cache::{self, Error},
    http::{Request, Response},
    keyvalue::Store,
};

trellis_sdk::http!(answer);

const TTL: Duration = Duration::from_secs(600);
/// How long a computation takes: others ask meanwhile.
const SLOW: Duration = Duration::from_millis(300);

/// Do what the path says; an error of the host's is the answer, with its words.
pub fn answer(request: Request<'_>) -> Response {
    let mut path = request.path().split('/').skip(2);
    let mut next = || path.next().unwrap_or_default();
    let (deed, key, value) = (next(), next(), next());
    match deed {
        "get" => text_of(cache::get(key).map(|value| value.map_or("nothing".into(), text))),
        "set" => text_of(cache::set(key, value.as_bytes(), TTL).map(|()| "set".into())),
        "add" => text_of(cache::add(key, value.as_bytes(), TTL).map(|added| added.to_string())),
        "delete" => text_of(cache::delete(key).map(|()| "deleted".into())),
        "remember" => text_of(remember(key, || ())),
        "trap" => text_of(remember(key, || panic!("asked to panic in a computation"))),
        "hold" => text_of(hold(key)),
        "stall" => text_of(stall(key)),
        "computed" => text_of(computed(key, 0)),
        _ => Response::new(404),
    }
}

fn text_of<E: Debug>(outcome: Result<String, E>) -> Response {
    match outcome {
        Ok(text) => Response::text(text),
        Err(error) => Response::text(format!("{error:?}")).with_status(409),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of a key, computed if need be, with something else before its end.
fn remember(key: &str, then: impl FnOnce()) -> Result<String, Error> {
    let value = cache::remember(key, TTL, || {
        let count = computed(key, 1).expect("the store counts");
        thread::sleep(SLOW);
        then();
        Ok::<_, Error>(format!("{key} {count}").into_bytes())
    });
    value.map(text)
}

/// Claim a key and end the call without another word.
fn hold(key: &str) -> Result<String, Error> {
    let claimed = cache::claim(key, cache::PATIENCE, Duration::ZERO)?;
    let answer = match &claimed {
        cache::Claimed::Value(value) => text(value.clone()),
        cache::Claimed::Yours(_) => "yours".to_owned(),
        cache::Claimed::Taken => "taken".to_owned(),
    };
    std::mem::forget(claimed);
    Ok(answer)
}

/// Claim a key for three seconds and compute for longer.
fn stall(key: &str) -> Result<String, Error> {
    let _claimed = cache::claim(key, Duration::from_secs(3), cache::PATIENCE)?;
    thread::sleep(Duration::from_secs(15));
    Ok("stalled".into())
}

/// How often a key was computed, `more` included.
fn computed(key: &str, more: i64) -> Result<String, trellis_sdk::keyvalue::Error> {
    Store::open("default")?.increment(&format!("computed {key}"), more).map(|sum| sum.to_string())
}
