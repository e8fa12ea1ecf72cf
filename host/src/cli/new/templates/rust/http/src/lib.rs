//! Greets whoever asks: `GET /{{name}}/ada`.

use serde::Serialize;
use trellis_sdk::http::{Request, Response, Result};

trellis_sdk::http!(answer);

#[derive(Serialize)]
struct Greeting<'a> {
    hello: &'a str,
}

fn answer(request: Request<'_>) -> Result {
    let who = request.param("who").unwrap_or("world");
    Response::json(&Greeting { hello: who })
}
