//! `wasi:http/incoming-handler@0.2`: one call a request, which sets the head of its answer on the
//! way and writes the body into a channel.

use bytes::Bytes;
use tokio::sync::oneshot;
use wasmtime::component::Resource;
use wasmtime_wasi_http::p2::{
    bindings::http::types::Scheme,
    types::{HostIncomingRequest, HostResponseOutparam},
};

use super::{
    Exports,
    inbound::view,
    running::{BodyError, Running},
};
use crate::runtime::{CallError, Lease};

/// A request, and where the head of the answer goes.
pub type Params = (Resource<HostIncomingRequest>, Resource<HostResponseOutparam>);

impl Lease {
    /// Ask a wasi:http 0.2 handler. The lease goes with the call: the instance comes back when
    /// the guest has ended.
    pub fn handle_wasi02<B>(
        mut self,
        https: bool,
        request: http::Request<B>,
    ) -> Result<Running, CallError>
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
    {
        let Some(Exports::Wasi02(handle)) = &self.exports().http else {
            return Err(self.lacks("wasi:http/incoming-handler@0.2"));
        };
        let (handle, deadline, late) = (*handle, self.deadline(), self.late());
        let (answered, head) = oneshot::channel();
        let scheme = if https { Scheme::Https } else { Scheme::Http };
        let params = new_call(&mut self, scheme, request, answered);
        let params = params.map_err(|error| self.fault(format!("{error:#}")))?;
        let guest = Box::pin(async move {
            self.run_unbounded(async |store| handle.call_async(store, params).await).await
        });
        Ok(Running { guest, outcome: None, head: Some(head), deadline, late })
    }
}

fn new_call<B>(
    lease: &mut Lease,
    scheme: Scheme,
    request: http::Request<B>,
    answered: oneshot::Sender<super::running::Head>,
) -> wasmtime::Result<Params>
where
    B: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static,
{
    let mut view = view(lease.state());
    let request = view.new_incoming_request(scheme, request)?;
    let answer = view.new_response_outparam_from_callback(move |answer| {
        let _ = answered.send(answer.map_err(|code| format!("{code:?}")));
    })?;
    Ok((request, answer))
}
