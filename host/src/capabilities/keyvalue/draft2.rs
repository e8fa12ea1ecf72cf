//! `wasi:keyvalue@0.2.0-draft2`: text as cursors, signed increments, compare-and-swap.

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
use std::sync::Arc;

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

/// `atomics.cas` in the store's table: a value as it was read.
struct Cas {
    bucket: Arc<dyn Store>,
    key: String,
    value: Option<Bytes>,
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
        store.data_mut().table.delete(Resource::<Cas>::new_own(this))?;
        Ok(())
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
                let cas = Cas { bucket, key, value };
                Ok((Ok(store.data_mut().table.push(cas)?),))
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
            let Cas { bucket, key, value: expected } = store.data_mut().table.delete(cas)?;
            let swap = bucket.compare_and_swap(key.clone(), expected, value).await;
            Ok((match swap {
                Ok(Swap::Done) => Ok(()),
                Ok(Swap::Lost(value)) => {
                    let now = Cas { bucket, key, value };
                    Err(CasError::CasFailed(store.data_mut().table.push(now)?))
                }
                Err(error) => Err(CasError::StoreError(error.into())),
            },))
        })
    })
}
