//! An answer whose body is a blob: the plugin names it, the host sends it.
//!
//! ```text
//!  plugin ── x-trellis-blob: container/key ──▶ fill ── conditions ─▶ 304, 416, or a head
//!                                                                      └ Pieces ─▶ client
//! ```
//! The instance is free again before the first byte is read. A handler of `trellis:http` gives its
//! answer whole, so this is how it sends what is larger than a call may hand over. `service` enters
//! here behind each call whose answer has the field, which goes no further.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};

use super::{body::Body, client::Id, connection::Busy, refusal::Refusal};
use crate::{
    backends::blobs::{self, ContentType, Info},
    capabilities::blobs::{Error, Instance, Named},
    plugins::Generation,
};

mod part;
mod pieces;

use part::Part;
pub use pieces::Pieces;

/// The field of an answer that names its body as `container/key`.
const FIELD: HeaderName = HeaderName::from_static("x-trellis-blob");

/// The request, and what serves it.
pub struct Origin<'a> {
    /// What is asked.
    pub parts: &'a Parts,
    /// Identifies it in the log.
    pub id: &'a Id,
    /// Who names the blob.
    pub generation: &'a Arc<Generation>,
    /// The longest wait for the blob to be opened.
    pub patience: Duration,
    /// Keeps the connection from looking idle.
    pub busy: &'a mut Option<Busy>,
}

/// Why an answer has no body.
pub enum Problem {
    /// The plugin should not have answered so; why.
    Unfit(String),
    /// There is no such blob, or it cannot be read.
    Refused(Refusal),
}

/// Whether an answer names its body.
pub fn is_named(answer: &Response<Body>) -> bool {
    answer.headers().contains_key(FIELD)
}

/// Put the blob that an answer names in its place, or what the client's conditions make of it.
pub async fn fill(
    mut answer: Response<Body>,
    blobs: Option<Instance>,
    mut origin: Origin<'_>,
) -> Result<Response<Body>, Problem> {
    let name = take_name(&mut answer)?;
    let blobs = blobs.ok_or_else(|| {
        Problem::Unfit(format!("it names the blob `{name}` without `[needs.blobs]`"))
    })?;
    let Named { blob, read } = open(&blobs, &name, &origin).await?;
    let info = blob.info();
    describe(&mut answer, info);
    let size = info.size;
    let part = match answer.status() {
        StatusCode::OK => part::asked(origin.parts, answer.headers(), size),
        _ => Part::All,
    };
    let (from, end) = match part {
        Part::All => (0, size),
        Part::Range { from, end } => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            let range = format!("bytes {from}-{}/{size}", end - 1);
            put(answer.headers_mut(), header::CONTENT_RANGE, &range);
            (from, end)
        }
        Part::Unchanged => return Ok(without(answer, StatusCode::NOT_MODIFIED)),
        Part::Outside => {
            put(answer.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(without(answer, StatusCode::RANGE_NOT_SATISFIABLE));
        }
    };
    answer.headers_mut().insert(header::CONTENT_LENGTH, (end - from).into());
    if origin.parts.method != Method::HEAD && from < end {
        let pieces = Pieces::new(blob, read, from..end, &mut origin);
        *answer.body_mut() = Body::Blob(Box::new(pieces));
    }
    Ok(answer)
}

/// Take the field out of an answer that has it, once, and nothing else for a body.
fn take_name(answer: &mut Response<Body>) -> Result<String, Problem> {
    let unfit = |problem: &str| Problem::Unfit(problem.to_owned());
    let mut names = answer.headers().get_all(FIELD).iter();
    let (name, others) = (names.next(), names.next());
    let name = name.filter(|_| others.is_none()).ok_or_else(|| unfit("it names two blobs"))?;
    let name = std::str::from_utf8(name.as_bytes());
    let name = name.map_err(|_| unfit("it names a blob with bytes that are no UTF-8"))?.to_owned();
    if answer.body().length() > 0 {
        return Err(Problem::Unfit(format!("it names the blob `{name}` and has a body as well")));
    }
    answer.headers_mut().remove(FIELD);
    Ok(name)
}

async fn open(blobs: &Instance, name: &str, origin: &Origin<'_>) -> Result<Named, Problem> {
    let opened = tokio::time::timeout(origin.patience, blobs.named(name)).await;
    let late = || Error::Backend(blobs::Error::Unavailable("it was not opened in time".into()));
    match opened.unwrap_or_else(|_| Err(late())) {
        Ok(Some(named)) => Ok(named),
        Ok(None) => Err(Problem::Refused(MISSING)),
        Err(Error::Backend(blobs::Error::Unavailable(reason))) => {
            if origin.generation.tells() {
                let (id, plugin) = (origin.id.as_str(), &origin.generation.plugin);
                tracing::error!(id, %plugin, blob = name, reason, "a blob cannot be opened");
            }
            Err(Problem::Refused(Refusal::unavailable("what is here cannot be read now")))
        }
        Err(mistake) => Err(Problem::Unfit(mistake.to_string())),
    }
}

const MISSING: Refusal = Refusal::new(StatusCode::NOT_FOUND, "there is nothing here");

/// Add what the plugin has not said.
fn describe(answer: &mut Response<Body>, info: &Info) {
    let headers = answer.headers_mut();
    let content_type = info.content_type.as_ref().map(ContentType::as_str);
    let given = [
        (header::CONTENT_TYPE, content_type.unwrap_or("application/octet-stream")),
        (header::ETAG, &format!("\"{}\"", info.etag)),
        (header::LAST_MODIFIED, &part::date(info.modified_ms)),
    ];
    for (name, value) in given {
        if !headers.contains_key(&name) {
            put(headers, name, value);
        }
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

/// Set a field to what is known to be printable.
fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The answer with another status and no body.
fn without(mut answer: Response<Body>, status: StatusCode) -> Response<Body> {
    *answer.status_mut() = status;
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    answer
}
