//! `trellis:http/handler`: requests and responses as records.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::Exports;
use crate::runtime::{CallError, Lease};

/// `trellis:http/types.request`
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Request {
    pub method: String,
    pub scheme: String,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub params: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    #[component(name = "client-ip")]
    pub client_ip: String,
    pub id: String,
    #[component(name = "time-ms")]
    pub time_ms: u64,
    pub body: Vec<u8>,
}

/// `trellis:http/types.response`
#[derive(Clone, Debug, ComponentType, Lift)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Lease {
    /// Ask the plain handler.
    pub async fn handle_plain(&mut self, request: Request) -> Result<Response, CallError> {
        let Some(Exports::Plain(handle)) = &self.exports().http else {
            return Err(self.lacks("handler"));
        };
        let handle = *handle;
        Ok(self.call(handle, (request,)).await?.0)
    }
}
