//! `trellis:plugin/lifecycle`.

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, TypedFunc},
};

use crate::{
    capabilities::State,
    runtime::{CallError, Lease},
};

/// The interface of the contract.
pub const INTERFACE: &str = "trellis:plugin/lifecycle@0.1.0";
/// The most bytes `save` may hand over.
const MAX_SAVED: usize = 16 << 20;

/// Where the hooks are.
pub struct Indices {
    start: ComponentExportIndex,
    save: ComponentExportIndex,
    stop: ComponentExportIndex,
}

impl Indices {
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let find = |name| super::function(component, INTERFACE, name);
        Ok(match (find("start"), find("save"), find("stop")) {
            (Some(start), Some(save), Some(stop)) => Some(Self { start, save, stop }),
            _ => None,
        })
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports {
            start: instance.get_typed_func(&mut *store, self.start)?,
            save: instance.get_typed_func(&mut *store, self.save)?,
            stop: instance.get_typed_func(&mut *store, self.stop)?,
        })
    }
}

/// What `start` answers: nothing, or why the plugin refuses.
type Started = (Result<(), String>,);

/// The typed hooks of an instance.
#[derive(Clone, Copy)]
pub struct Exports {
    start: TypedFunc<(Option<Vec<u8>>,), Started>,
    save: TypedFunc<(), (Vec<u8>,)>,
    stop: TypedFunc<(), ()>,
}

impl Lease {
    /// Run `start` with what the generation before saved; the guest's refusal is the inner
    /// error.
    pub async fn start(&mut self, saved: Option<Vec<u8>>) -> Result<Result<(), String>, CallError> {
        match self.exports().lifecycle {
            Some(hooks) => Ok(self.call(hooks.start, (saved,)).await?.0),
            None => Ok(Ok(())),
        }
    }

    /// Run `save`.
    pub async fn save(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        let Some(hooks) = self.exports().lifecycle else {
            return Ok(None);
        };
        let saved = self.call(hooks.save, ()).await?.0;
        if saved.len() > MAX_SAVED {
            return Err(self.fault(format!("`save` returned more than {MAX_SAVED} bytes")));
        }
        Ok(Some(saved))
    }

    /// Run `stop`.
    pub async fn stop(&mut self) -> Result<(), CallError> {
        match self.exports().lifecycle {
            Some(hooks) => self.call(hooks.stop, ()).await,
            None => Ok(()),
        }
    }
}
