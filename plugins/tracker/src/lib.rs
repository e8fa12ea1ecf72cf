//! The tracker: takes events over HTTP and stores each as one JSON object in the topic `raw`.
//!
//! ```text
//! request ─ visitor (who, may we?) ─ event (type, params) ─ intake (dedupe, send) ─ answer
//! ```
//!
//! A 2xx means that the event is durable, or that it was refused on purpose: the visitor asked
//! not to be tracked, a robot, or an id that has been stored before.

mod answer;
mod batch;
mod event;
mod intake;
mod params;
mod seen;
mod settings;
mod visitor;

pub use event::Event;
pub use params::Params;
pub use visitor::Visitor;

use settings::Settings;
use trellis_sdk::http::{Error, Request, Response, Result};

trellis_sdk::http!(answer);

/// Answer one request and allow scripts of other sites to read the answer.
pub fn answer(request: Request<'_>) -> Response {
    settings::with(|settings| {
        let visitor = Visitor::of(&request);
        let response = route(&request, &visitor, settings).unwrap_or_else(answer::failure);
        answer::cors(response, visitor.origin, settings)
    })
}

fn route(request: &Request<'_>, visitor: &Visitor<'_>, settings: &Settings) -> Result {
    match (request.method(), request.path()) {
        ("OPTIONS", _) => Ok(answer::preflight()),
        ("HEAD", _) => Ok(answer::ok()),
        ("POST", "/batch") => batch::take(request, visitor, settings),
        ("GET", "/pixel.gif") => {
            one(request, visitor, settings, event::pixel_type(request))?;
            Ok(answer::pixel())
        }
        ("GET" | "POST", _) => {
            one(request, visitor, settings, event::type_of(request))?;
            Ok(answer::ok())
        }
        (method, _) => {
            Err(Error::status(405, format!("`{method}` is not taken, send GET or POST")))
        }
    }
}

/// Store the one event that a request is.
fn one(
    request: &Request<'_>,
    visitor: &Visitor<'_>,
    settings: &Settings,
    kind: std::borrow::Cow<'_, str>,
) -> Result<()> {
    if !visitor.may_be_recorded(settings) {
        return Ok(());
    }
    let params = Params::of(request, visitor)?;
    let event = Event::new(request, visitor, settings, &kind, &params);
    intake::store_one(&event, settings)
}
