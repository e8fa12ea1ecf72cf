//! `trellis:streaming/connection-handler`.

use std::ops::RangeInclusive;

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, ComponentType, Instance, Lift, Lower, TypedFunc},
};

pub use crate::capabilities::channels::host::{Frame, Start};
use crate::{
    capabilities::State,
    runtime::{CallError, Lease},
};

/// The bytes from one title to the next.
pub const INTERVALS: RangeInclusive<u32> = 256..=1 << 20;

/// The interface of the contract.
pub const INTERFACE: &str = "trellis:streaming/connection-handler@0.1.0";

/// `transport`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Transport {
    /// RFC 6455.
    #[component(name = "websocket")]
    Websocket,
    /// `text/event-stream`
    #[component(name = "event-stream")]
    EventStream,
    /// The body of an answer.
    #[component(name = "stream")]
    Stream,
}

/// `request`
#[derive(Clone, Debug, ComponentType, Lower)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Request {
    pub connection: u64,
    pub transport: Transport,
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
    pub protocols: Vec<String>,
    #[component(name = "last-event")]
    pub last_event: Option<u64>,
}

/// `accepted`
#[derive(Clone, Debug, PartialEq, ComponentType, Lift)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Accepted {
    pub headers: Vec<(String, String)>,
    pub protocol: Option<String>,
    pub tag: String,
    pub join: Vec<(String, Start)>,
    pub first: Vec<Frame>,
    pub icy: Option<u32>,
}

/// `refused`
#[derive(Clone, Debug, PartialEq, ComponentType, Lift)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Refused {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// `closing`
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct Closing {
    /// The code of a websocket's close.
    pub code: u16,
    /// For people.
    pub reason: String,
}

/// `what`
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(variant)]
pub enum What {
    /// The client sent a message.
    #[component(name = "message")]
    Message(Frame),
    /// It has ended.
    #[component(name = "closed")]
    Closed(Closing),
}

/// `event`
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
pub struct Event {
    /// Where.
    pub connection: u64,
    /// What was last given to the connection.
    pub tag: String,
    /// What happened.
    pub what: What,
}

/// Where `open` and `events` are.
pub struct Indices {
    open: ComponentExportIndex,
    events: ComponentExportIndex,
}

impl Indices {
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let find = |name| super::function(component, INTERFACE, name);
        Ok(match (find("open"), find("events")) {
            (Some(open), Some(events)) => Some(Self { open, events }),
            _ => None,
        })
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports {
            open: instance.get_typed_func(&mut *store, self.open)?,
            events: instance.get_typed_func(&mut *store, self.events)?,
        })
    }
}

/// What `open` decides.
pub type Opened = Result<Accepted, Refused>;

/// The typed functions of an instance.
#[derive(Clone, Copy)]
pub struct Exports {
    open: TypedFunc<(Request,), (Opened,)>,
    events: TypedFunc<(Vec<Event>,), ()>,
}

impl Lease {
    /// Ask whether a connection is let in.
    pub async fn open_connection(&mut self, request: Request) -> Result<Opened, CallError> {
        let Some(Exports { open, .. }) = self.exports().connection else {
            return Err(self.lacks("connection handler"));
        };
        Ok(self.call(open, (request,)).await?.0)
    }

    /// Tell what happened on connections.
    pub async fn events(&mut self, batch: Vec<Event>) -> Result<(), CallError> {
        let Some(Exports { events, .. }) = self.exports().connection else {
            return Err(self.lacks("connection handler"));
        };
        self.call(events, (batch,)).await
    }
}
