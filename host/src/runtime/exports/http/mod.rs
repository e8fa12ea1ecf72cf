//! Answering HTTP: `trellis:http` in its two forms, and wasi:http 0.2 and 0.3.

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, TypedFunc},
};

use crate::capabilities::State;

pub mod packed;
pub mod plain;

const PLAIN: &str = "trellis:http/handler@0.1.0";
const PACKED: &str = "trellis:http/packed-handler@0.1.0";

/// The forms of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `trellis:http/handler`
    Plain,
    /// `trellis:http/packed-handler`
    Packed,
}

impl Form {
    /// Whether an instance may answer a second request where the manifest does not say.
    pub fn reusable(self) -> bool {
        match self {
            Self::Plain | Self::Packed => true,
        }
    }
}

/// Where the handler is.
pub struct Indices {
    form: Form,
    handle: ComponentExportIndex,
}

impl Indices {
    /// The packed form wins where a component exports several.
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let find = |interface| super::function(component, interface, "handle");
        let packed = find(PACKED).map(|handle| Self { form: Form::Packed, handle });
        Ok(packed.or_else(|| find(PLAIN).map(|handle| Self { form: Form::Plain, handle })))
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn load(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(match self.form {
            Form::Packed => Exports::Packed(instance.get_typed_func(&mut *store, self.handle)?),
            Form::Plain => Exports::Plain(instance.get_typed_func(&mut *store, self.handle)?),
        })
    }
}

/// The typed handler of an instance.
pub enum Exports {
    /// `packed-handler`
    Packed(TypedFunc<packed::Params, packed::Answer>),
    /// `handler`
    Plain(TypedFunc<(plain::Request,), (plain::Response,)>),
}
