//! `trellis:streaming/socket-handler`.

use bytes::Bytes;
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, ComponentType, Instance, Lift, Lower, TypedFunc},
};

use crate::{
    capabilities::State,
    runtime::{CallError, Lease},
};

/// The interface of the contract.
pub const INTERFACE: &str = "trellis:streaming/socket-handler@0.1.0";
/// The most bytes that `save` may hand over.
const MAX_SAVED: usize = 16 << 20;

/// `arrival`
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Arrival {
    pub connection: u64,
    pub listener: String,
    #[component(name = "client-ip")]
    pub client_ip: String,
    #[component(name = "client-port")]
    pub client_port: u16,
    #[component(name = "time-ms")]
    pub time_ms: u64,
}

/// `reply`
#[derive(Clone, Debug, Default, PartialEq, ComponentType, Lift)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Reply {
    pub send: Bytes,
    #[component(name = "tell-drained")]
    pub tell_drained: bool,
    #[component(name = "wake-ms")]
    pub wake_ms: Option<u32>,
    pub close: Option<String>,
}

/// What a connection is told, where the answer is what is to happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Occasion {
    /// It has come.
    Open(Arrival),
    /// Bytes of the client.
    Data(Bytes),
    /// All that was sent has been taken.
    Drained,
    /// The time has come.
    Woken,
}

/// Where the functions are.
pub struct Indices {
    open: ComponentExportIndex,
    data: ComponentExportIndex,
    drained: ComponentExportIndex,
    woken: ComponentExportIndex,
    closed: ComponentExportIndex,
    save: ComponentExportIndex,
    restore: ComponentExportIndex,
}

impl Indices {
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let find = |name| super::function(component, INTERFACE, name);
        let all = || {
            Some(Self {
                open: find("open")?,
                data: find("data")?,
                drained: find("drained")?,
                woken: find("woken")?,
                closed: find("closed")?,
                save: find("save")?,
                restore: find("restore")?,
            })
        };
        Ok(all())
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports {
            open: instance.get_typed_func(&mut *store, self.open)?,
            data: instance.get_typed_func(&mut *store, self.data)?,
            drained: instance.get_typed_func(&mut *store, self.drained)?,
            woken: instance.get_typed_func(&mut *store, self.woken)?,
            closed: instance.get_typed_func(&mut *store, self.closed)?,
            save: instance.get_typed_func(&mut *store, self.save)?,
            restore: instance.get_typed_func(&mut *store, self.restore)?,
        })
    }
}

/// What `restore` answers: what is to happen, or why it does not go on.
type Restored = Result<Reply, String>;

/// The typed functions of an instance.
#[derive(Clone, Copy)]
pub struct Exports {
    open: TypedFunc<(Arrival,), (Reply,)>,
    data: TypedFunc<(Bytes,), (Reply,)>,
    drained: TypedFunc<(), (Reply,)>,
    woken: TypedFunc<(), (Reply,)>,
    closed: TypedFunc<(String,), ()>,
    save: TypedFunc<(), (Option<Vec<u8>>,)>,
    restore: TypedFunc<(Arrival, Vec<u8>), (Restored,)>,
}

impl Lease {
    /// Tell the connection of this instance what happened, and hear what is to happen.
    pub async fn socket(&mut self, occasion: Occasion) -> Result<Reply, CallError> {
        let exports = self.socket_exports()?;
        Ok(match occasion {
            Occasion::Open(arrival) => self.call(exports.open, (arrival,)).await?.0,
            Occasion::Data(bytes) => self.call(exports.data, (bytes,)).await?.0,
            Occasion::Drained => self.call(exports.drained, ()).await?.0,
            Occasion::Woken => self.call(exports.woken, ()).await?.0,
        })
    }

    /// Tell it that it has ended.
    pub async fn socket_closed(&mut self, reason: String) -> Result<(), CallError> {
        let exports = self.socket_exports()?;
        self.call(exports.closed, (reason,)).await
    }

    /// What the next version has to know of it, if that can go on with it.
    pub async fn save_socket(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        let exports = self.socket_exports()?;
        let saved = self.call(exports.save, ()).await?.0;
        if saved.as_ref().is_some_and(|saved| saved.len() > MAX_SAVED) {
            return Err(self.fault(format!("`save` returned more than {MAX_SAVED} bytes")));
        }
        Ok(saved)
    }

    /// Go on with a connection in this instance; the guest's refusal is the inner error.
    pub async fn restore_socket(
        &mut self,
        arrival: Arrival,
        saved: Vec<u8>,
    ) -> Result<Restored, CallError> {
        let exports = self.socket_exports()?;
        Ok(self.call(exports.restore, (arrival, saved)).await?.0)
    }

    fn socket_exports(&self) -> Result<Exports, CallError> {
        self.exports().socket.ok_or_else(|| self.lacks("socket handler"))
    }
}
