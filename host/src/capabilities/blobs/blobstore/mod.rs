//! `wasi:blobstore`: the same blobs for components that were made for other hosts.
//!
//! A container is one of `[needs.blobs] containers`: it is there from the beginning, making it
//! changes nothing, and deleting it empties it. [`container`] has its functions, [`values`] the
//! bytes on their way in and out, which go through streams of wasi:io.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, LinkerInstance, Resource},
};

use super::{Error, Instance, Prepared, State};
use crate::{
    backends::blobs::{MAX_PAGE, Range},
    capabilities::Call,
};

mod container;
#[cfg(test)]
mod tests;
mod values;

use container::Container;

/// `blobstore`.
pub const BLOBSTORE: &str = "wasi:blobstore/blobstore@0.2.0-draft";
/// `container`.
pub const CONTAINER: &str = "wasi:blobstore/container@0.2.0-draft";
/// `types`.
pub const TYPES: &str = "wasi:blobstore/types@0.2.0-draft";

/// The most blobs that all instances of a plugin have open for reading: each is an open file.
pub const MAX_OPEN: usize = 256;

/// The interface's errors are texts.
type Answer<T> = wasmtime::Result<(Result<T, String>,)>;

/// `types.object-id`.
#[derive(ComponentType, Lift)]
#[component(record)]
struct ObjectId {
    container: String,
    object: String,
}

/// The plugin's blobs, for as long as something is asked of them. The load refused a component
/// that imports them without a grant.
fn own(store: &StoreContextMut<'_, State>) -> wasmtime::Result<Instance> {
    let blobs = store.data().own.blobs.clone();
    blobs.ok_or_else(|| wasmtime::format_err!("`blobs` was not granted"))
}

/// Wait for an answer and hand it over.
async fn answer<T>(call: &mut Call, work: impl Future<Output = Result<T, Error>>) -> Answer<T> {
    Ok((call.wait(work).await.map_err(|error| error.to_string()),))
}

/// Add every interface.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    values::link(&mut linker.instance(TYPES)?)?;
    container::link(&mut linker.instance(CONTAINER)?)?;
    let mut blobstore = linker.instance(BLOBSTORE)?;
    link_containers(&mut blobstore)?;
    link_objects(&mut blobstore)
}

fn link_containers(blobstore: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    for name in ["create-container", "get-container"] {
        blobstore.func_wrap(name, |store, (name,): (String,)| open(store, name))?;
    }
    blobstore.func_wrap(
        "container-exists",
        |store: StoreContextMut<'_, State>, (name,): (String,)| {
            let exists = own(&store)?.container(&name).is_ok();
            Ok((Ok::<_, String>(exists),))
        },
    )?;
    blobstore.func_wrap_async("delete-container", |mut store, (name,): (String,)| {
        Box::new(async move {
            let blobs = own(&store)?;
            answer(&mut store.data_mut().call, blobs.clear(&name)).await
        })
    })
}

fn open(mut store: StoreContextMut<'_, State>, name: String) -> Answer<Resource<Container>> {
    Ok((match own(&store)?.container(&name) {
        Ok(_) => Ok(store.data_mut().table.push(Container(name))?),
        Err(error) => Err(error.to_string()),
    },))
}

fn link_objects(blobstore: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    blobstore.func_wrap_async("copy-object", |mut store, (from, to): (ObjectId, ObjectId)| {
        Box::new(async move {
            let blobs = own(&store)?;
            answer(&mut store.data_mut().call, blobs.duplicate(&from, &to)).await
        })
    })?;
    blobstore.func_wrap_async("move-object", |mut store, (from, to): (ObjectId, ObjectId)| {
        Box::new(async move {
            let blobs = own(&store)?;
            answer(&mut store.data_mut().call, blobs.relocate(&from, &to)).await
        })
    })
}

impl Prepared {
    /// Remove every blob of a container, page by page.
    async fn clear(&self, container: &str) -> Result<(), Error> {
        loop {
            let page = Range { most: MAX_PAGE, ..Range::default() };
            let entries = self.list(container, page).await?;
            for entry in &entries {
                self.delete(container, &entry.key).await?;
            }
            if entries.len() < MAX_PAGE {
                return Ok(());
            }
        }
    }

    async fn duplicate(&self, from: &ObjectId, to: &ObjectId) -> Result<(), Error> {
        let keys = [from.object.as_str(), &to.object];
        let copied = self.copy([&from.container, &to.container], keys).await?;
        copied.map(drop).ok_or_else(|| Error::NoBlob(from.object.clone()))
    }

    /// Copy, then delete: whoever looks in between sees both.
    async fn relocate(&self, from: &ObjectId, to: &ObjectId) -> Result<(), Error> {
        self.duplicate(from, to).await?;
        if (&from.container, &from.object) == (&to.container, &to.object) {
            return Ok(());
        }
        self.delete(&from.container, &from.object).await
    }
}
