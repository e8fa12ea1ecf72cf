//! The shortest answer through the packed handler of the SDK.

use trellis_sdk::http::{Request, Response};

trellis_sdk::http!(answer);

fn answer(_request: Request<'_>) -> Response {
    Response::text("Hello, world!")
}
