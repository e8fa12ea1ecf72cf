//! What a component may export: the guests' side of each trigger's contract.
//!
//! One file a contract, each with the name of its interface, the records that cross, and the
//! typed functions that an instance offers. A trigger calls these through a
//! [`super::Lease`]; the type of the component alone decides which are there.

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, types::ComponentItem},
};

use crate::capabilities::State;

pub mod connection;
pub mod consumer;
pub mod http;
pub mod job;
pub mod lifecycle;
pub mod socket;

/// Which contracts a component exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// It answers HTTP requests.
    pub http: Option<http::Form>,
    /// It consumes topics.
    pub consumer: Option<consumer::Form>,
    /// It takes connections.
    pub connection: bool,
    /// It speaks over TCP.
    pub socket: bool,
    /// It does things by the clock.
    pub job: bool,
    /// It has hooks around its life.
    pub lifecycle: bool,
}

impl Offered {
    /// Whether an instance may serve more than one call where the manifest does not say.
    pub fn reusable(&self) -> bool {
        self.http.is_none_or(http::Form::reusable)
    }
}

/// Where the exports are, looked up once a component.
pub struct Indices {
    http: Option<http::Indices>,
    consumer: Option<consumer::Indices>,
    connection: Option<connection::Indices>,
    socket: Option<socket::Indices>,
    job: Option<job::Indices>,
    lifecycle: Option<lifecycle::Indices>,
}

/// The exports of one instance, typed.
pub struct Exports {
    /// `trellis:http` in either form, or wasi:http.
    pub http: Option<http::Exports>,
    /// `trellis:kafka` consumers in either form.
    pub consumer: Option<consumer::Exports>,
    /// `trellis:streaming/connection-handler`
    pub connection: Option<connection::Exports>,
    /// `trellis:streaming/socket-handler`
    pub socket: Option<socket::Exports>,
    /// `trellis:jobs/job-handler`
    pub job: Option<job::Exports>,
    /// `trellis:plugin/lifecycle`.
    pub lifecycle: Option<lifecycle::Exports>,
}

impl Indices {
    /// Look the exports up and check their types.
    pub fn of(component: &Component) -> wasmtime::Result<Self> {
        Ok(Self {
            http: http::Indices::of(component)?,
            consumer: consumer::Indices::of(component)?,
            connection: connection::Indices::of(component)?,
            socket: socket::Indices::of(component)?,
            job: job::Indices::of(component)?,
            lifecycle: lifecycle::Indices::of(component)?,
        })
    }

    /// Which contracts are there.
    pub fn offered(&self) -> Offered {
        Offered {
            http: self.http.as_ref().map(http::Indices::form),
            consumer: self.consumer.as_ref().map(consumer::Indices::form),
            connection: self.connection.is_some(),
            socket: self.socket.is_some(),
            job: self.job.is_some(),
            lifecycle: self.lifecycle.is_some(),
        }
    }

    /// The typed exports of an instance.
    pub fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Exports> {
        Ok(Exports {
            http: self.http.as_ref().map(|i| i.load(store, instance)).transpose()?,
            consumer: self.consumer.as_ref().map(|i| i.load(store, instance)).transpose()?,
            connection: self.connection.as_ref().map(|i| i.load(store, instance)).transpose()?,
            socket: self.socket.as_ref().map(|i| i.load(store, instance)).transpose()?,
            job: self.job.as_ref().map(|i| i.load(store, instance)).transpose()?,
            lifecycle: self.lifecycle.as_ref().map(|i| i.load(store, instance)).transpose()?,
        })
    }
}

/// The index of `interface.function`, if the component exports it.
fn function(
    component: &Component,
    interface: &str,
    function: &str,
) -> Option<ComponentExportIndex> {
    let (_, instance) = component.get_export(None, interface)?;
    let (item, index) = component.get_export(Some(&instance), function)?;
    matches!(item, ComponentItem::ComponentFunc(_)).then_some(index)
}
