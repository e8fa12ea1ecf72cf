//! `wasi:keyvalue@0.2.0-draft`: numbers as cursors, unsigned increments, no compare-and-swap.

use wasmtime::component::{ComponentType, Linker, Lower, Resource};

use super::{
    State,
    host::{self, Bucket, Error},
};
use crate::backends::keyvalue::Cursor;

/// `store`.
pub const STORE: &str = "wasi:keyvalue/store@0.2.0-draft";
/// `atomics`.
pub const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft";
/// `batch`.
pub const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft";

/// `store.key-response`. The cursor counts the keys of the pages before.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<u64>,
}

/// Add its interfaces.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut store = linker.instance(STORE)?;
    host::link_store(&mut store)?;
    store.func_wrap_async(
        "[method]bucket.list-keys",
        |store, (this, cursor): (Resource<Bucket>, Option<u64>)| {
            Box::new(async move {
                let before = cursor.unwrap_or(0);
                let page = host::bucket(&store, &this)?.keys(Cursor::Skip(before)).await;
                host::answer(page.map(|page| {
                    let behind = before + page.keys.len() as u64;
                    KeyResponse { cursor: page.more.then_some(behind), keys: page.keys }
                }))
            })
        },
    )?;
    linker.instance(ATOMICS)?.func_wrap_async(
        "increment",
        |store, (this, key, delta): (Resource<Bucket>, String, u64)| {
            Box::new(async move {
                let bucket = host::bucket(&store, &this)?;
                let Ok(delta) = i64::try_from(delta) else {
                    return Ok((Err(out_of_range()),));
                };
                let sum = bucket.increment(key, delta).await.map_err(Error::from);
                Ok((sum.and_then(|sum| u64::try_from(sum).map_err(|_| out_of_range())),))
            })
        },
    )?;
    host::link_batch(&mut linker.instance(BATCH)?)
}

fn out_of_range() -> Error {
    Error::Other("the number is out of range".into())
}
