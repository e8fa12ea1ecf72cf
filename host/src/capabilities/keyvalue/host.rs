//! What the drafts have in common: buckets with everything but their lists of keys, and `batch`.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType},
};

use super::State;
use crate::backends::keyvalue::{self, Store};

/// `store.error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl From<keyvalue::Error> for Error {
    fn from(error: keyvalue::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// `store.bucket` in the store's table.
pub struct Bucket(Arc<dyn Store>);

/// What every function answers.
pub type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;

/// The store behind a handle.
pub fn bucket(
    store: &StoreContextMut<'_, State>,
    this: &Resource<Bucket>,
) -> wasmtime::Result<Arc<dyn Store>> {
    Ok(store.data().table.get(this)?.0.clone())
}

/// Hand an answer of the backend over.
pub fn answer<T>(result: keyvalue::Result<T>) -> Answer<T> {
    Ok((result.map_err(Error::from),))
}

/// Add `open` and the bucket without its `list-keys`.
pub fn link_store(store: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    store.resource("bucket", ResourceType::host::<Bucket>(), |mut store, this| {
        store.data_mut().table.delete(Resource::<Bucket>::new_own(this))?;
        Ok(())
    })?;
    store.func_wrap("open", |mut store: StoreContextMut<'_, State>, (name,): (String,)| {
        let state = store.data_mut();
        let granted = state.own.keyvalue.as_ref();
        let granted = granted.ok_or_else(|| wasmtime::format_err!("`keyvalue` was not granted"))?;
        Ok((match granted.open(&name) {
            Ok(open) => Ok(state.table.push(Bucket(open))?),
            Err(error) => Err(error),
        },))
    })?;
    store.func_wrap_async(
        "[method]bucket.get",
        |store, (this, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                let values = bucket(&store, &this)?.get_many(vec![key]).await;
                answer(values.map(|values| values.into_iter().next().flatten()))
            })
        },
    )?;
    store.func_wrap_async(
        "[method]bucket.set",
        |store, (this, key, value): (Resource<Bucket>, String, Bytes)| {
            Box::new(
                async move { answer(bucket(&store, &this)?.set_many(vec![(key, value)]).await) },
            )
        },
    )?;
    store.func_wrap_async(
        "[method]bucket.delete",
        |store, (this, key): (Resource<Bucket>, String)| {
            Box::new(async move { answer(bucket(&store, &this)?.delete_many(vec![key]).await) })
        },
    )?;
    store.func_wrap_async(
        "[method]bucket.exists",
        |store, (this, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                let values = bucket(&store, &this)?.get_many(vec![key]).await;
                answer(values.map(|values| values.iter().any(Option::is_some)))
            })
        },
    )
}

/// Add the interface `batch`.
pub fn link_batch(batch: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    batch.func_wrap_async("get-many", |store, (this, keys): (Resource<Bucket>, Vec<String>)| {
        Box::new(async move {
            let values = bucket(&store, &this)?.get_many(keys.clone()).await;
            let pair = |(key, value): (String, Option<Bytes>)| Some((key, value?));
            answer(values.map(|values| keys.into_iter().zip(values).map(pair).collect::<Vec<_>>()))
        })
    })?;
    batch.func_wrap_async(
        "set-many",
        |store, (this, pairs): (Resource<Bucket>, Vec<(String, Bytes)>)| {
            Box::new(async move { answer(bucket(&store, &this)?.set_many(pairs).await) })
        },
    )?;
    batch.func_wrap_async("delete-many", |store, (this, keys): (Resource<Bucket>, Vec<String>)| {
        Box::new(async move { answer(bucket(&store, &this)?.delete_many(keys).await) })
    })
}
