//! What the host says where no plugin answers: a status and one sentence.

use http::StatusCode;

use crate::runtime::CallError;

/// An answer of the host's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// One line for the client, without anything from inside.
    pub says: &'static str,
    /// When to try again, in seconds.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// An answer with this status.
    pub const fn new(status: StatusCode, says: &'static str) -> Self {
        Self { status, says, retry_after: None }
    }

    /// 400
    pub const fn bad_request(says: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, says)
    }

    /// 404
    pub const fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing is served at this path")
    }

    /// 404
    pub const fn no_websocket() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing takes websockets at this path")
    }

    /// 413
    pub const fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than this path accepts")
    }

    /// 429
    pub const fn too_many(retry_after: u32) -> Self {
        let says = "too many requests from this address";
        let retry_after = Some(retry_after);
        Self { status: StatusCode::TOO_MANY_REQUESTS, says, retry_after }
    }

    /// 500
    pub const fn broken() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the plugin failed to answer")
    }

    /// 503
    pub const fn unavailable(says: &'static str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, says, retry_after: Some(1) }
    }

    /// 504
    pub const fn late() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "the plugin did not answer in time")
    }

    /// As a line for people.
    pub fn text(&self) -> String {
        format!("{}: {}\n", self.status.as_u16(), self.says)
    }
}

impl From<&CallError> for Refusal {
    fn from(error: &CallError) -> Self {
        match error {
            CallError::Overloaded { .. } => Self::unavailable("too many requests wait already"),
            CallError::Deadline { .. } => Self::late(),
            CallError::Memory { .. } | CallError::Trap { .. } => Self::broken(),
            CallError::Unavailable { .. } | CallError::Gone { .. } => {
                Self::unavailable("the plugin cannot run right now")
            }
        }
    }
}
