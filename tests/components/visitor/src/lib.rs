//! Does what it is asked through the interfaces that components of other hosts import and export,
//! and says what came of it.

use trellis_sdk::http::{Request, Response};

mod diary;
mod letters;
mod luggage;

trellis_sdk::http!(answer);

mod bindings {
    #![allow(unsafe_code, missing_docs, clippy::all, unused_qualifications)]
    wit_bindgen::generate!({
        path: [
            "../../../wit/deps/io",
            "../../../wit/deps/clocks",
            "../../../wit/deps/blobstore",
            "../../../wit/deps/messaging",
            "../../../wit/deps/otel",
        ],
        inline: "
            package test:visitor;
            world visitor {
                import wasi:blobstore/blobstore@0.2.0-draft;
                import wasmcloud:messaging/consumer@0.2.0;
                import wasi:otel/tracing@0.2.0-rc.2;
                import wasi:otel/metrics@0.2.0-rc.2;
                import wasi:otel/logs@0.2.0-rc.2;
                export wasmcloud:messaging/handler@0.2.0;
            }
        ",
        generate_all,
    });
}

/// `/visitor/<room>/<deed>/<name>`, with the body for what takes one.
fn answer(request: Request<'_>) -> Response {
    let path = request.param("path").unwrap_or_default();
    let mut parts = path.splitn(3, '/');
    let mut next = || parts.next().unwrap_or_default();
    let (room, deed, name) = (next(), next(), next());
    let said = match room {
        "luggage" => luggage::answer(deed, name, request.body()),
        "letters" => letters::answer(deed, name, request.body()),
        "diary" => diary::answer(deed, name),
        _ => Err(format!("there is no `{room}`")),
    };
    match said {
        Ok(bytes) => Response::bytes("application/octet-stream", bytes),
        Err(reason) => Response::text(reason).with_status(409),
    }
}

#[cfg(target_family = "wasm")]
const _: () = {
    #[allow(unsafe_code, reason = "the generated exports are extern functions")]
    mod export {
        use super::{bindings, letters::Letters};
        bindings::export!(Letters with_types_in bindings);
    }
};
