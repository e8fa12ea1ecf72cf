//! Answers with which version it is, and fails where that is `bad`.

use trellis_sdk::http::{Request, Response};

trellis_sdk::http!(answer);

fn answer(_request: Request<'_>) -> Response {
    match trellis_sdk::config::get("says").unwrap_or_default() {
        says if says == "bad" => panic!("this version fails"),
        says => Response::text(says),
    }
}
