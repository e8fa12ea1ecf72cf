//! The functions of `trellis:storage/blobs`.

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, LinkerInstance, Lower},
};

use super::{Instance, State};
use crate::{
    backends::blobs::{self, ContentType, Range},
    capabilities::Call,
};

/// The interface.
pub const INTERFACE: &str = "trellis:storage/blobs@0.1.0";

/// `error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "too-large")]
    TooLarge(String),
    #[component(name = "full")]
    Full(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}

impl From<super::Error> for Error {
    fn from(error: super::Error) -> Self {
        let text = error.to_string();
        match error {
            super::Error::Backend(blobs::Error::Unavailable(reason)) => Self::Unavailable(reason),
            super::Error::Backend(blobs::Error::Full { .. }) => Self::Full(text),
            super::Error::Backend(blobs::Error::TooLarge(_))
            | super::Error::LargeBlob(_)
            | super::Error::LargePart(_) => Self::TooLarge(text),
            _ => Self::Invalid(text),
        }
    }
}

/// `info`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Info {
    size: u64,
    etag: String,
    #[component(name = "modified-ms")]
    modified_ms: u64,
    #[component(name = "content-type")]
    content_type: Option<String>,
}

impl From<blobs::Info> for Info {
    fn from(info: blobs::Info) -> Self {
        let blobs::Info { size, etag, modified_ms, content_type } = info;
        let content_type = content_type.as_ref().map(ContentType::as_str).map(str::to_owned);
        Self { size, etag, modified_ms, content_type }
    }
}

/// `blob`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Blob {
    info: Info,
    body: Bytes,
}

/// `entry`.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Entry {
    key: String,
    info: Info,
}

type Answer<T> = wasmtime::Result<(Result<T, Error>,)>;

/// The store's blobs, and the call that waits for them. The load refused a component that imports
/// them without a grant.
fn own<'a>(
    store: &'a mut StoreContextMut<'_, State>,
) -> wasmtime::Result<(&'a Instance, &'a mut Call)> {
    let State { call, own, .. } = store.data_mut();
    let blobs = own.blobs.as_ref();
    Ok((blobs.ok_or_else(|| wasmtime::format_err!("`blobs` was not granted"))?, call))
}

/// Wait for an answer and hand it over as the guest knows it.
async fn answer<T, U>(
    call: &mut Call,
    work: impl Future<Output = Result<T, super::Error>>,
    show: impl FnOnce(T) -> U,
) -> Answer<U> {
    Ok((call.wait(work).await.map(show).map_err(Error::from),))
}

/// Add every function.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut blobs = linker.instance(INTERFACE)?;
    link_writing(&mut blobs)?;
    link_reading(&mut blobs)
}

fn link_writing(blobs: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    blobs.func_wrap_async(
        "put",
        |mut store, (container, key, body, kind): (String, String, Bytes, Option<String>)| {
            Box::new(async move {
                let (blobs, call) = own(&mut store)?;
                answer(call, blobs.put(&container, &key, body, kind.as_deref()), Info::from).await
            })
        },
    )?;
    blobs.func_wrap_async(
        "append",
        |mut store, (container, key, bytes): (String, String, Bytes)| {
            Box::new(async move {
                let (blobs, call) = own(&mut store)?;
                answer(call, blobs.append(&container, &key, bytes), Info::from).await
            })
        },
    )?;
    blobs.func_wrap_async("delete", |mut store, (container, key): (String, String)| {
        Box::new(async move {
            let (blobs, call) = own(&mut store)?;
            answer(call, blobs.delete(&container, &key), |()| ()).await
        })
    })?;
    blobs.func_wrap_async(
        "copy",
        |mut store, (from, from_key, to, to_key): (String, String, String, String)| {
            Box::new(async move {
                let (blobs, call) = own(&mut store)?;
                let copied = blobs.copy([&from, &to], [&from_key, &to_key]);
                answer(call, copied, |info| info.map(Info::from)).await
            })
        },
    )
}

fn link_reading(blobs: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    blobs.func_wrap_async("get", |mut store, (container, key): (String, String)| {
        Box::new(async move {
            let (blobs, call) = own(&mut store)?;
            let show = |(info, body): (blobs::Info, _)| Blob { info: info.into(), body };
            answer(call, blobs.get(&container, &key), |found| found.map(show)).await
        })
    })?;
    blobs.func_wrap_async(
        "read",
        |mut store, (container, key, offset, length): (String, String, u64, u32)| {
            Box::new(async move {
                let (blobs, call) = own(&mut store)?;
                answer(call, blobs.read(&container, &key, offset, length), |part| part).await
            })
        },
    )?;
    blobs.func_wrap_async("head", |mut store, (container, key): (String, String)| {
        Box::new(async move {
            let (blobs, call) = own(&mut store)?;
            answer(call, blobs.head(&container, &key), |found| found.map(Info::from)).await
        })
    })?;
    blobs.func_wrap_async(
        "list",
        |mut store, (container, prefix, after, most): (String, String, Option<String>, u32)| {
            Box::new(async move {
                let (blobs, call) = own(&mut store)?;
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let show = |entry: blobs::Entry| Entry { key: entry.key, info: entry.info.into() };
                let all = |page: Vec<_>| page.into_iter().map(show).collect::<Vec<_>>();
                let page = blobs.list(&container, Range { prefix, after, most });
                answer(call, page, all).await
            })
        },
    )
}
