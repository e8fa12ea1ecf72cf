//! The shortest answer through the plain handler, without an SDK.

mod bindings {
    #![allow(unsafe_code, missing_docs, clippy::all, unused_qualifications)]
    wit_bindgen::generate!({
        path: "../../../../wit/http",
        inline: "
            package bench:hello-plain;
            world plain {
                export trellis:http/handler@0.1.0;
            }
        ",
        generate_all,
    });
}

use bindings::exports::trellis::http::handler::{Guest, Request, Response};

struct Hello;

impl Guest for Hello {
    fn handle(_request: Request) -> Response {
        Response {
            status: 200,
            headers: vec![("content-type".into(), "text/plain; charset=utf-8".into())],
            body: b"Hello, world!".to_vec(),
        }
    }
}

#[cfg(target_family = "wasm")]
const _: () = {
    #[allow(unsafe_code, reason = "the generated export is an extern function")]
    mod export {
        use super::{Hello, bindings};
        bindings::export!(Hello with_types_in bindings);
    }
};
