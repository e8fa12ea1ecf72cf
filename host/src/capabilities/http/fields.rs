//! What the fields of messages take that a guest holds: they lie in the host's memory, and a guest
//! may have thousands of them.

use std::any::Any;

use http::HeaderMap;
use wasmtime_wasi_http::{
    FieldMap,
    p2::types::{HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse},
};

/// The bytes of the fields in a resource; 0 of those that have none.
pub fn size(resource: &dyn Any) -> usize {
    of(resource).map_or(0, |fields| {
        fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    })
}

fn of(resource: &dyn Any) -> Option<&HeaderMap> {
    let fields = resource.downcast_ref::<FieldMap>();
    let fields = fields
        .or_else(|| resource.downcast_ref::<HostOutgoingRequest>().map(|found| &found.headers))
        .or_else(|| resource.downcast_ref::<HostOutgoingResponse>().map(|found| &found.headers))
        .or_else(|| resource.downcast_ref::<HostIncomingResponse>().map(|found| &found.headers));
    fields.map(|fields| &**fields)
}
