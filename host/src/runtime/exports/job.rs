//! `trellis:jobs/job-handler`.

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, ComponentType, Instance, Lower, TypedFunc},
};

use crate::{
    capabilities::State,
    runtime::{CallError, Lease},
};

/// The interface of the contract.
pub const INTERFACE: &str = "trellis:jobs/job-handler@0.1.0";

/// `job`
#[derive(Clone, Debug, PartialEq, ComponentType, Lower)]
#[component(record)]
#[allow(missing_docs, reason = "documented in the WIT, field by field")]
pub struct Job {
    pub id: String,
    pub name: String,
    #[component(name = "due-ms")]
    pub due_ms: u64,
    pub attempt: u32,
    pub payload: Vec<u8>,
}

/// Where `run` is.
pub struct Indices {
    run: ComponentExportIndex,
}

impl Indices {
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        Ok(super::function(component, INTERFACE, "run").map(|run| Self { run }))
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports { run: instance.get_typed_func(&mut *store, self.run)? })
    }
}

/// The typed `run` of an instance.
#[derive(Clone, Copy)]
pub struct Exports {
    run: TypedFunc<(Job,), (Result<(), String>,)>,
}

impl Lease {
    /// Run a job; the guest's own failure is the inner error.
    pub async fn run_job(&mut self, job: Job) -> Result<Result<(), String>, CallError> {
        let Some(Exports { run }) = self.exports().job else {
            return Err(self.lacks("job handler"));
        };
        Ok(self.call(run, (job,)).await?.0)
    }
}
