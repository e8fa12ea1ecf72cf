//! Answering HTTP: `trellis:http` in its two forms, and wasi:http 0.2 and 0.3.

use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex, Instance, TypedFunc},
};

use crate::capabilities::State;

mod inbound;
pub mod packed;
pub mod plain;
mod running;
pub mod wasi02;
pub mod wasi03;

pub use running::{BodyError, Running, StreamBody};

/// The host's 0.2: wasmtime finds the export of every version that is compatible.
pub const WASI_02: &str = "wasi:http/incoming-handler@0.2.0";
/// The host's 0.3, likewise.
pub const WASI_03: &str = "wasi:http/handler@0.3.0";
/// Records and lists.
pub const PLAIN: &str = "trellis:http/handler@0.1.0";
/// One byte string.
pub const PACKED: &str = "trellis:http/packed-handler@0.1.0";

/// The forms of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `trellis:http/handler`
    Plain,
    /// `trellis:http/packed-handler`
    Packed,
    /// `wasi:http/incoming-handler@0.2`
    Wasi02,
    /// `wasi:http/handler@0.3`
    Wasi03,
}

impl Form {
    /// Whether an instance may answer a second request where the manifest does not say.
    pub fn reusable(self) -> bool {
        match self {
            Self::Plain | Self::Packed | Self::Wasi03 => true,
            // Some engines of script languages fail on their second request.
            Self::Wasi02 => false,
        }
    }
}

/// Where the handler is.
pub struct Indices {
    form: Form,
    handle: ComponentExportIndex,
}

impl Indices {
    /// The fastest form wins where a component exports several.
    pub(super) fn of(component: &Component) -> wasmtime::Result<Option<Self>> {
        let forms = [
            (Form::Packed, PACKED),
            (Form::Plain, PLAIN),
            (Form::Wasi03, WASI_03),
            (Form::Wasi02, WASI_02),
        ];
        let found = forms.into_iter().find_map(|(form, interface)| {
            let handle = super::function(component, interface, "handle")?;
            Some(Self { form, handle })
        });
        Ok(found)
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
            Form::Wasi02 => Exports::Wasi02(instance.get_typed_func(&mut *store, self.handle)?),
            Form::Wasi03 => Exports::Wasi03(instance.get_typed_func(&mut *store, self.handle)?),
        })
    }
}

/// The typed handler of an instance.
pub enum Exports {
    /// `packed-handler`
    Packed(TypedFunc<packed::Params, packed::Answer>),
    /// `handler`
    Plain(TypedFunc<(plain::Request,), (plain::Response,)>),
    /// `wasi:http/incoming-handler@0.2`
    Wasi02(TypedFunc<wasi02::Params, ()>),
    /// `wasi:http/handler@0.3`
    Wasi03(TypedFunc<wasi03::Params, wasi03::Answer>),
}
