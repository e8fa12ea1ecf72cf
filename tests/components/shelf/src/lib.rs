//! Keeps blobs in two containers and shows them, by what the path and the query say:
//!
//! ```text
//! PUT    /<name>/<container>/<key>             put the body, with its content type
//! POST   /<name>/<container>/<key>             append the body
//! GET    /<name>/<container>/<key>             the blob, sent by the host
//! GET    /<name>/<container>/<key>?what=get    the blob, handed over; also `read`, `head`
//! GET    /<name>/<container>?prefix=&after=    the keys, a line each
//! DELETE /<name>/<container>/<key>
//! ```
//! What cannot stand in a path is named in the query instead: `?key=`. An error of the host's is
//! the answer, with its words.

use trellis_sdk::{
    blobs::{self, Error, Info},
    http::{Request, Response},
};

trellis_sdk::http!(answer);

/// Do what the request says.
pub fn answer(request: Request<'_>) -> Response {
    let path = request.path().splitn(4, '/').collect::<Vec<_>>();
    let container = path.get(2).copied().unwrap_or_default();
    let named = request.query_value("key");
    let key = named.as_deref().unwrap_or_else(|| path.get(3).copied().unwrap_or_default());
    let outcome = match request.method() {
        "PUT" => put(&request, container, key),
        "POST" => blobs::append(container, key, request.body()).map(told),
        "DELETE" => blobs::delete(container, key).map(|()| Response::new(204)),
        _ if key.is_empty() => keys(&request, container),
        _ => show(&request, container, key),
    };
    outcome.unwrap_or_else(refused)
}

fn put(request: &Request<'_>, container: &str, key: &str) -> Result<Response, Error> {
    if let Some(from) = request.query_value("copy") {
        let copied = blobs::copy((container, &from), (container, key))?;
        return Ok(copied.map_or_else(|| Response::new(404), told));
    }
    let content_type = request.header("content-type");
    blobs::put(container, key, request.body(), content_type).map(told)
}

fn keys(request: &Request<'_>, container: &str) -> Result<Response, Error> {
    let prefix = request.query_value("prefix").unwrap_or_default();
    if let Some(most) = request.query_value("most").and_then(|most| most.parse().ok()) {
        let page = blobs::list(container, &prefix, request.query_value("after").as_deref(), most)?;
        return Ok(lines(page.into_iter().map(|entry| entry.key)));
    }
    let all = blobs::all(container, &prefix).collect::<Result<Vec<_>, _>>()?;
    Ok(lines(all.into_iter().map(|entry| entry.key)))
}

fn lines(keys: impl Iterator<Item = String>) -> Response {
    Response::text(keys.collect::<Vec<_>>().join("\n"))
}

fn show(request: &Request<'_>, container: &str, key: &str) -> Result<Response, Error> {
    let number = |name| request.query_value(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let missing = || Response::text("nothing").with_status(404);
    Ok(match request.query_value("what").as_deref() {
        None => Response::blob(container, key),
        Some("named") => Response::blob(container, key)
            .with_header("content-type", "text/x-named")
            .with_header("etag", "\"named\"")
            .with_header("cache-control", "no-cache"),
        Some("gone") => Response::blob(container, key).with_status(410),
        Some("both") => Response::blob(container, key).with_body("a body as well"),
        Some("get") => match blobs::get(container, key)? {
            Some(blob) => {
                Response::bytes(blob.info.content_type.as_deref().unwrap_or("none"), blob.body)
            }
            None => missing(),
        },
        Some("read") => {
            let (offset, length) = (number("offset"), number("length") as u32);
            let part = blobs::read(container, key, offset, length)?;
            part.map_or_else(missing, |part| Response::bytes("application/octet-stream", part))
        }
        Some(_) => blobs::head(container, key)?.map_or_else(missing, told),
    })
}

fn told(info: Info) -> Response {
    let Info { size, etag, content_type, .. } = info;
    Response::text(format!("{size} {etag} {}", content_type.as_deref().unwrap_or("none")))
}

fn refused(error: Error) -> Response {
    let status = match error {
        Error::Invalid(_) => 400,
        Error::TooLarge(_) => 413,
        Error::Full(_) => 507,
        Error::Unavailable(_) => 503,
    };
    Response::text(format!("{error:?}")).with_status(status)
}
