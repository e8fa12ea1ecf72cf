//! `wasi:http/handler@0.3`: an async function from request to response. The guest's task goes on
//! after it has returned, to write the body.

use std::{future::poll_fn, pin::Pin};

use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::{Accessor, Resource, TypedFunc};
use wasmtime_wasi_http::p3::{Request, Response, bindings::http::types::ErrorCode};

use super::{
    Exports,
    inbound::view,
    running::{BodyError, Head, Running},
};
use crate::{
    capabilities::State,
    runtime::{CallError, Lease},
};

/// A request.
pub type Params = (Resource<Request>,);
/// A response, or the error code in its place.
pub type Answer = (Result<Resource<Response>, ErrorCode>,);

impl Lease {
    /// Ask a wasi:http 0.3 handler. The lease goes with the call: the instance comes back when
    /// all tasks of the guest have ended.
    pub fn handle_wasi03<B>(mut self, request: http::Request<B>) -> Result<Running, CallError>
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        let Some(Exports::Wasi03(handle)) = &self.exports().http else {
            return Err(self.lacks("wasi:http/handler@0.3"));
        };
        let (handle, deadline, late) = (*handle, self.deadline(), self.late());
        let (answered, head) = oneshot::channel();
        let guest = Box::pin(async move {
            self.run_unbounded(async |store| {
                store
                    .run_concurrent(async |accessor| {
                        answer(accessor, handle, request, answered).await?;
                        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                        Ok(())
                    })
                    .await?
            })
            .await
        });
        Ok(Running { guest, outcome: None, head: Some(head), deadline, late })
    }
}

/// Call the handler and pass on the head of what it returns. The body is written by the store's
/// own tasks.
async fn answer<B>(
    accessor: &Accessor<State>,
    handle: TypedFunc<Params, Answer>,
    request: http::Request<B>,
    answered: oneshot::Sender<Head>,
) -> wasmtime::Result<()>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let (request, sent) = accessor.with(|mut access| {
        let view = view(access.get());
        let (request, sent) = Request::from_http(view.hooks, request);
        // Boxed, because its type claims to borrow the hooks.
        let sent: Pin<Box<dyn Future<Output = Result<(), BodyError>> + Send>> = Box::pin(sent);
        wasmtime::error::Ok((view.table.push(request)?, sent))
    })?;
    let (answer,) = handle.call_concurrent(accessor, (request,)).await?;
    let head = match answer {
        Ok(response) => accessor.with(|mut access| {
            let response = view(access.get()).table.delete(response)?;
            response.into_http_with_getter(&mut access, sent, view).map(Ok)
        })?,
        Err(code) => Err(format!("{code:?}")),
    };
    let _ = answered.send(head);
    Ok(())
}
