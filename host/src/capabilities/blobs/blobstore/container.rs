//! `container`: the objects of one container, and the list of their names.

use wasmtime::{
    StoreContextMut,
    component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType},
};

use super::{
    Answer, Error, Prepared, State, answer, own,
    values::{Incoming, Outgoing},
};
use crate::{
    backends::blobs::{Info, MAX_PAGE, Range},
    capabilities::Call,
};

/// The most names that one call takes.
const MAX_NAMES: usize = 10_000;

/// `container.container`: its name, which was granted.
pub struct Container(pub String);

/// `container.stream-object-names`: the names behind `after`.
pub struct Names {
    container: String,
    after: Option<String>,
}

/// `types.container-metadata`. A container is there from the beginning.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ContainerMetadata {
    name: String,
    #[component(name = "created-at")]
    created_at: u64,
}

/// `types.object-metadata`. What is known is when the object was last written, in seconds.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ObjectMetadata {
    name: String,
    container: String,
    #[component(name = "created-at")]
    created_at: u64,
    size: u64,
}

impl ObjectMetadata {
    fn of(name: String, container: String, info: &Info) -> Self {
        Self { name, container, created_at: info.modified_ms / 1000, size: info.size }
    }
}

/// The name of the container behind a handle.
fn name(
    store: &StoreContextMut<'_, State>,
    this: &Resource<Container>,
) -> wasmtime::Result<String> {
    Ok(store.data().table.get(this)?.0.clone())
}

/// Add the interface.
pub fn link(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    link_container(interface)?;
    link_values(interface)?;
    link_objects(interface)?;
    link_names(interface)
}

fn link_container(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.resource("container", ResourceType::host::<Container>(), |mut store, this| {
        store.data_mut().table.delete(Resource::<Container>::new_own(this))?;
        Ok(())
    })?;
    interface.func_wrap(
        "[method]container.name",
        |store: StoreContextMut<'_, State>, (this,): (Resource<Container>,)| {
            Ok((Ok::<_, String>(name(&store, &this)?),))
        },
    )?;
    interface.func_wrap(
        "[method]container.info",
        |store: StoreContextMut<'_, State>, (this,): (Resource<Container>,)| {
            let name = name(&store, &this)?;
            Ok((Ok::<_, String>(ContainerMetadata { name, created_at: 0 }),))
        },
    )?;
    interface.func_wrap_async(
        "[method]container.clear",
        |mut store, (this,): (Resource<Container>,)| {
            Box::new(async move {
                let (blobs, container) = (own(&store)?, name(&store, &this)?);
                answer(&mut store.data_mut().call, blobs.clear(&container)).await
            })
        },
    )
}

fn link_values(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.func_wrap_async(
        "[method]container.get-data",
        |mut store, (this, key, start, end): (Resource<Container>, String, u64, u64)| {
            Box::new(async move {
                let (blobs, container) = (own(&store)?, name(&store, &this)?);
                let State { call, table, .. } = store.data_mut();
                let opened = call.wait(Incoming::open(&blobs, &container, &key, start, end)).await;
                Ok((match opened {
                    Ok(value) => Ok(table.push(value)?),
                    Err(error) => Err(error.to_string()),
                },))
            })
        },
    )?;
    interface.func_wrap(
        "[method]container.write-data",
        |mut store: StoreContextMut<'_, State>,
         (this, key, value): (Resource<Container>, String, Resource<Outgoing>)| {
            let (blobs, container) = (own(&store)?, name(&store, &this)?);
            let value = store.data_mut().table.get_mut(&value)?;
            let place = blobs.place(&container, &key).map_err(|error| error.to_string());
            Ok((place.and_then(|place| value.aim(place)),))
        },
    )
}

fn link_objects(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.func_wrap_async(
        "[method]container.delete-object",
        |store, (this, key): (Resource<Container>, String)| {
            Box::new(async move { delete(store, this, vec![key]).await })
        },
    )?;
    interface.func_wrap_async(
        "[method]container.delete-objects",
        |store, (this, keys): (Resource<Container>, Vec<String>)| {
            Box::new(async move { delete(store, this, keys).await })
        },
    )?;
    interface.func_wrap_async(
        "[method]container.has-object",
        |mut store, (this, key): (Resource<Container>, String)| {
            Box::new(async move {
                let (blobs, container) = (own(&store)?, name(&store, &this)?);
                let found = async { Ok(blobs.head(&container, &key).await?.is_some()) };
                answer(&mut store.data_mut().call, found).await
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]container.object-info",
        |mut store, (this, key): (Resource<Container>, String)| {
            Box::new(async move {
                let (blobs, container) = (own(&store)?, name(&store, &this)?);
                let found = async {
                    let info = blobs.head(&container, &key).await?;
                    let info = info.ok_or_else(|| Error::NoBlob(key.clone()))?;
                    Ok(ObjectMetadata::of(key.clone(), container.clone(), &info))
                };
                answer(&mut store.data_mut().call, found).await
            })
        },
    )
}

async fn delete(
    mut store: StoreContextMut<'_, State>,
    this: Resource<Container>,
    keys: Vec<String>,
) -> Answer<()> {
    let (blobs, container) = (own(&store)?, name(&store, &this)?);
    if keys.len() > MAX_NAMES {
        return Ok((Err(format!("`{}` names at once; give {MAX_NAMES} at most", keys.len())),));
    }
    let deleted = async {
        for key in &keys {
            blobs.delete(&container, key).await?;
        }
        Ok(())
    };
    answer(&mut store.data_mut().call, deleted).await
}

fn link_names(interface: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    interface.resource(
        "stream-object-names",
        ResourceType::host::<Names>(),
        |mut store, this| {
            store.data_mut().table.delete(Resource::<Names>::new_own(this))?;
            Ok(())
        },
    )?;
    interface.func_wrap(
        "[method]container.list-objects",
        |mut store: StoreContextMut<'_, State>, (this,): (Resource<Container>,)| {
            let names = Names { container: name(&store, &this)?, after: None };
            Ok((Ok::<_, String>(store.data_mut().table.push(names)?),))
        },
    )?;
    interface.func_wrap_async(
        "[method]stream-object-names.read-stream-object-names",
        |mut store, (this, most): (Resource<Names>, u64)| {
            Box::new(async move {
                let blobs = own(&store)?;
                let State { call, table, .. } = store.data_mut();
                Ok((table.get_mut(&this)?.next(call, &blobs, most).await,))
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]stream-object-names.skip-stream-object-names",
        |mut store, (this, most): (Resource<Names>, u64)| {
            Box::new(async move {
                let blobs = own(&store)?;
                let State { call, table, .. } = store.data_mut();
                let skipped = table.get_mut(&this)?.next(call, &blobs, most).await;
                Ok((skipped.map(|(names, end)| (names.len() as u64, end)),))
            })
        },
    )
}

impl Names {
    /// The next names, `most` or a page of them, and whether these are the last.
    async fn next(
        &mut self,
        call: &mut Call,
        blobs: &Prepared,
        most: u64,
    ) -> Result<(Vec<String>, bool), String> {
        let most = usize::try_from(most).unwrap_or(MAX_PAGE).min(MAX_PAGE);
        if most == 0 {
            return Ok((Vec::new(), false));
        }
        let range = Range { prefix: String::new(), after: self.after.clone(), most };
        let entries = call.wait(blobs.list(&self.container, range)).await;
        let entries = entries.map_err(|error| error.to_string())?;
        let names: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
        if let Some(last) = names.last() {
            self.after = Some(last.clone());
        }
        let end = names.len() < most;
        Ok((names, end))
    }
}
