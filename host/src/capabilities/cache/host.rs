//! The functions of `trellis:storage/cache`.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, Lower, Resource, ResourceType},
};

use super::{Instance, Outcome, State};
use crate::{backends::cache, capabilities::Call};

/// The interface.
pub const INTERFACE: &str = "trellis:storage/cache@0.1.0";

/// `error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
    #[component(name = "lost")]
    Lost,
}

impl From<super::Error> for Error {
    fn from(error: super::Error) -> Self {
        match error {
            super::Error::Backend(cache::Error::Unavailable(reason)) => Self::Unavailable(reason),
            super::Error::Backend(cache::Error::Lost) => Self::Lost,
            mistake => Self::Invalid(mistake.to_string()),
        }
    }
}

/// The representation of `claim` in the store's table: its number.
struct Claim(u64);

/// `claimed`.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum Claimed {
    #[component(name = "value")]
    Value(Bytes),
    #[component(name = "yours")]
    Yours(Resource<Claim>),
    #[component(name = "taken")]
    Taken,
}

type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;

/// The store's part of the cache, and the call that waits for it. The load refused a component
/// that imports it without a grant.
fn own<'a>(
    store: &'a mut StoreContextMut<'_, State>,
) -> wasmtime::Result<(&'a mut Instance, &'a mut Call)> {
    let State { call, own, .. } = store.data_mut();
    let instance = own.cache.as_mut();
    Ok((instance.ok_or_else(|| wasmtime::format_err!("`cache` was not granted"))?, call))
}

/// Wait for an answer. The cache itself sees to it that none takes long.
async fn answer<T>(
    call: &mut Call,
    work: impl Future<Output = Result<T, super::Error>>,
) -> Answer<T> {
    Ok((call.wait(work).await.map_err(Error::from),))
}

/// Add every function.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut cache = linker.instance(INTERFACE)?;
    cache.func_wrap_async("get", |mut store, (key,): (String,)| {
        Box::new(async move {
            let (cache, call) = own(&mut store)?;
            answer(call, cache.get(&key)).await
        })
    })?;
    cache.func_wrap_async("set", |mut store, (key, value, ttl): (String, Bytes, u64)| {
        Box::new(async move {
            let (cache, call) = own(&mut store)?;
            answer(call, cache.set(&key, value, Duration::from_millis(ttl))).await
        })
    })?;
    cache.func_wrap_async("add", |mut store, (key, value, ttl): (String, Bytes, u64)| {
        Box::new(async move {
            let (cache, call) = own(&mut store)?;
            answer(call, cache.add(&key, value, Duration::from_millis(ttl))).await
        })
    })?;
    cache.func_wrap_async("delete", |mut store, (key,): (String,)| {
        Box::new(async move {
            let (cache, call) = own(&mut store)?;
            answer(call, cache.delete(&key)).await
        })
    })?;
    link_claim(linker)
}

fn link_claim(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut cache = linker.instance(INTERFACE)?;
    cache.resource("claim", ResourceType::host::<Claim>(), |mut store, this| {
        let Claim(number) = store.data_mut().table.delete(Resource::new_own(this))?;
        if let Some(cache) = &mut store.data_mut().own.cache {
            cache.drop_claim(number);
        }
        Ok(())
    })?;
    cache.func_wrap_async(
        "[static]claim.take",
        |mut store, (key, lease, wait): (String, u64, u64)| {
            Box::new(async move {
                let (cache, call) = own(&mut store)?;
                let deadline = call.deadline;
                let wait = Duration::from_millis(wait).min(call.remaining());
                let claimed = cache.claim(&key, Duration::from_millis(lease), wait, deadline);
                let (claimed,) = answer(call, claimed).await?;
                Ok((match claimed {
                    Ok(Outcome::Value(value)) => Ok(Claimed::Value(value)),
                    Ok(Outcome::Taken) => Ok(Claimed::Taken),
                    Ok(Outcome::Yours(number)) => {
                        Ok(Claimed::Yours(store.data_mut().table.push(Claim(number))?))
                    }
                    Err(error) => Err(error),
                },))
            })
        },
    )?;
    cache.func_wrap_async(
        "[method]claim.fill",
        |mut store, (this, value, ttl): (Resource<Claim>, Bytes, u64)| {
            Box::new(async move {
                let number = store.data().table.get(&this)?.0;
                let (cache, call) = own(&mut store)?;
                answer(call, cache.fill(number, value, Duration::from_millis(ttl))).await
            })
        },
    )
}
