//! Hands over more than it may have, or what it has many times over.

use trellis_sdk::{http::Response, keyvalue::Store, log};

/// What the host would have to hold in all.
const GIBIBYTE: usize = 1 << 30;
/// What the guest has of it.
const PIECE: usize = 1 << 20;

/// A page of most of the memory that can be had.
pub fn page() -> String {
    "~".repeat(40 * PIECE)
}

/// A line of as much.
pub fn line() -> String {
    log::error(page());
    "said".to_owned()
}

/// An answer with more fields than a map has room for.
pub fn headers() -> Response {
    (0..40_000).fold(Response::new(200), |response, _| response.with_header("a", ""))
}

/// A list that names the same piece of memory again and again, until it stands for a gibibyte.
pub fn list() -> Result<String, String> {
    let piece = vec![b'~'; PIECE];
    let pairs: Vec<(&str, &[u8])> = vec![("key", &piece); GIBIBYTE / PIECE];
    let store = Store::open("default").map_err(|error| format!("{error:?}"))?;
    store.set_many(&pairs).map_err(|error| format!("{error:?}"))?;
    Ok("written".to_owned())
}
