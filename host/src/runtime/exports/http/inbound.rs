//! The view of wasi:http that the handler's side needs: requests that come in, responses that go
//! out. It opens no connection, so it works for components that were granted none.

use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtxView, WasiHttpHooks};

use crate::capabilities::State;

/// The resources of a store, to put requests in and take responses out.
pub fn view(state: &mut State) -> WasiHttpCtxView<'_> {
    WasiHttpCtxView {
        // Without size, so nothing is allocated, and nothing leaks.
        hooks: Box::leak(Box::new(Inbound)),
        table: &mut state.table,
        ctx: &mut state.http,
    }
}

struct Inbound;

type Sent = Result<(http::Response<WasiBody>, Done), Error>;
type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Inbound {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
