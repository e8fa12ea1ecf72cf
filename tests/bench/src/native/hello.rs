//! The shortest answer of axum.

use axum::{Router, routing::get};

/// `GET /bench-hello`.
pub fn router() -> Router {
    Router::new().route("/bench-hello", get(|| async { "Hello, world!" }))
}
