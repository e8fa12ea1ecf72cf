//! The door of a house without connections.

use ::http::StatusCode;

use crate::triggers::http::{Body, Door, Knock, Opening, Refusal, Tune};

/// Lets no connection in: a case has nobody who would stay.
pub struct Shut;

const CLOSED: Refusal =
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "connections are not opened for cases");

impl Door for Shut {
    fn open<'a>(&'a self, _: Knock<'a>) -> Opening<'a> {
        Box::pin(async { Err(CLOSED) })
    }

    fn stream<'a>(&'a self, _: Tune<'a>, _: ::http::Response<Body>) -> Opening<'a> {
        Box::pin(async { Err(CLOSED) })
    }
}
