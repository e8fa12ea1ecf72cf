//! `wasi:keyvalue@0.2.0-draft2`: text as cursors, signed increments, compare-and-swap.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType},
};

use super::{
    State,
    host::{self, Bucket, Error},
};
use crate::backends::keyvalue::{self, Cursor, Store, Swap};

/// `store`.
pub const STORE: &str = "wasi:keyvalue/store@0.2.0-draft2";
/// `atomics`.
pub const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft2";
/// `batch`.
pub const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft2";

/// `store.key-response`. The cursor is the last key of the page.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<String>,
}

/// `atomics.cas` in the store's table: a value as it was read, which counts as the plugin's
/// memory.
struct Cas {
    bucket: Arc<dyn Store>,
    key: String,
    value: Option<Bytes>,
}

impl Cas {
    fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    /// Put it in the store's table, if the plugin has room for it.
    fn keep(self, state: &mut State) -> wasmtime::Result<Result<Resource<Self>, Error>> {
        if !state.memory.take(self.size()) {
            return Ok(Err(Error::Other("the memory of the plugin is used up".into())));
        }
        Ok(Ok(state.table.push(self)?))
    }

    fn take_back(this: Resource<Self>, state: &mut State) -> wasmtime::Result<Self> {
        let cas = state.table.delete(this)?;
        state.memory.give_back(cas.size());
        Ok(cas)
    }
}

/// `atomics.cas-error`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    StoreError(Error),
    #[component(name = "cas-failed")]
    CasFailed(Resource<Cas>),
}

/// Add its interfaces.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut store = linker.instance(STORE)?;
    host::link_store(&mut store)?;
    store.func_wrap_async(
        "[method]bucket.list-keys",
        |store, (this, cursor): (Resource<Bucket>, Option<String>)| {
            Box::new(async move {
                let from = cursor.map_or(Cursor::First, Cursor::After);
                let page = host::bucket(&store, &this)?.keys(from).await;
                host::answer(page.map(|page| {
                    let last = page.keys.last().filter(|_| page.more).cloned();
                    KeyResponse { cursor: last, keys: page.keys }
                }))
            })
        },
    )?;
    let mut atomics = linker.instance(ATOMICS)?;
    atomics.func_wrap_async(
        "increment",
        |store, (this, key, delta): (Resource<Bucket>, String, i64)| {
            Box::new(async move {
                host::answer(host::bucket(&store, &this)?.increment(key, delta).await)
            })
        },
    )?;
    link_cas(&mut atomics)?;
    host::link_batch(&mut linker.instance(BATCH)?)
}

fn link_cas(atomics: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    atomics.resource("cas", ResourceType::host::<Cas>(), |mut store, this| {
        Cas::take_back(Resource::new_own(this), store.data_mut()).map(drop)
    })?;
    atomics.func_wrap_async(
        "[static]cas.new",
        |mut store, (this, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                let bucket = host::bucket(&store, &this)?;
                let value = match bucket.get_many(vec![key.clone()]).await {
                    Ok(values) => values.into_iter().next().flatten(),
                    Err(error) => return host::answer(Err(error)),
                };
                Ok((Cas { bucket, key, value }.keep(store.data_mut())?,))
            })
        },
    )?;
    atomics.func_wrap(
        "[method]cas.current",
        |store: StoreContextMut<'_, State>, (this,): (Resource<Cas>,)| {
            host::answer(Ok::<_, keyvalue::Error>(store.data().table.get(&this)?.value.clone()))
        },
    )?;
    atomics.func_wrap_async("swap", |mut store, (cas, value): (Resource<Cas>, Bytes)| {
        Box::new(async move {
            let Cas { bucket, key, value: expected } = Cas::take_back(cas, store.data_mut())?;
            let swap = bucket.compare_and_swap(key.clone(), expected, value).await;
            Ok((match swap {
                Ok(Swap::Done) => Ok(()),
                Ok(Swap::Lost(value)) => {
                    let now = Cas { bucket, key, value }.keep(store.data_mut())?;
                    Err(now.map_or_else(CasError::StoreError, CasError::CasFailed))
                }
                Err(error) => Err(CasError::StoreError(error.into())),
            },))
        })
    })
}
