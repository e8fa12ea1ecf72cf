//! `types`: the bytes of an object on their way to the guest and from it.
//!
//! What the guest reads comes a piece at a time from the blob as it was when it was asked for. What
//! it writes is gathered and written as a whole by `finish`, so that nobody ever sees a part of it;
//! both count as the plugin's memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
};
use wasmtime_wasi::{
    async_trait,
    p2::{
        DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError,
        StreamResult,
    },
};

use super::{Answer, Error, Instance, MAX_OPEN, Prepared, State, answer, own};
use crate::{
    backends::blobs::{Blob, MAX_WRITE, Place},
    capabilities::{Lender, Loan, blobs::MAX_WHOLE},
};

/// What a stream reads ahead, and what a guest may write at a time.
const PIECE: usize = 64 << 10;

/// `types.incoming-value`: a range of a blob as it was when it was asked for.
pub struct Incoming {
    blobs: Instance,
    blob: Arc<dyn Blob>,
    at: u64,
    end: u64,
    /// One of [`MAX_OPEN`].
    _permit: OwnedSemaphorePermit,
}

impl Incoming {
    /// Open a blob from `start` to `last`, both included. What lies behind its end is left out.
    pub async fn open(
        blobs: &Instance,
        container: &str,
        key: &str,
        start: u64,
        last: u64,
    ) -> Result<Self, Error> {
        let permit = blobs.open.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Error::TooManyOpen(MAX_OPEN))?;
        let blob = Prepared::open(blobs, container, key).await?;
        let blob = blob.ok_or_else(|| Error::NoBlob(key.to_owned()))?;
        let end = last.saturating_add(1).min(blob.info().size);
        let at = start.min(end);
        Ok(Self { blobs: blobs.clone(), blob, at, end, _permit: permit })
    }

    fn size(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes, `most` of them or fewer at the end.
    async fn next(&mut self, most: u64) -> Result<Bytes, Error> {
        let length = usize::try_from(self.size().min(most)).unwrap_or(PIECE);
        let bytes = self.blobs.part_of(self.blob.clone(), self.at, length).await?;
        self.at += bytes.len() as u64;
        Ok(bytes)
    }

    /// All that is left of it.
    async fn whole(mut self) -> Result<Bytes, Error> {
        if self.size() > MAX_WHOLE {
            return Err(Error::LargeBlob(self.size()));
        }
        self.next(MAX_WHOLE).await
    }
}

/// The stream of an [`Incoming`]: one piece is read ahead when the guest waits for it.
struct Reading {
    value: Incoming,
    piece: Bytes,
    failed: Option<Error>,
    /// Of the piece.
    _loan: Loan,
}

impl InputStream for Reading {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if let Some(error) = self.failed.take() {
            return Err(StreamError::LastOperationFailed(wasmtime::format_err!("{error}")));
        }
        if self.piece.is_empty() && self.value.size() == 0 {
            return Err(StreamError::Closed);
        }
        let size = size.min(self.piece.len());
        Ok(self.piece.split_to(size))
    }
}

#[async_trait]
impl Pollable for Reading {
    async fn ready(&mut self) {
        if self.piece.is_empty() && self.failed.is_none() && self.value.size() > 0 {
            match self.value.next(PIECE as u64).await {
                Ok(piece) => self.piece = piece,
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

/// `types.outgoing-value`: what is written, and where it goes.
pub struct Outgoing {
    body: Arc<Mutex<Body>>,
    lent: bool,
    place: Option<Place>,
}

/// What was written so far.
struct Body {
    bytes: Vec<u8>,
    lender: Lender,
    /// Of the capacity of `bytes`.
    loans: Vec<Loan>,
    finished: bool,
}

impl Outgoing {
    pub(super) fn new(lender: Lender) -> Self {
        let body = Body { bytes: Vec::new(), lender, loans: Vec::new(), finished: false };
        Self { body: Arc::new(Mutex::new(body)), lent: false, place: None }
    }

    /// Say where the value goes, once.
    pub fn aim(&mut self, place: Place) -> Result<(), String> {
        match &self.place {
            Some(taken) => Err(format!("the value goes to `{taken}` already; make another one")),
            None => {
                self.place = Some(place);
                Ok(())
            }
        }
    }

    /// The stream to write to, once.
    pub(super) fn stream(&mut self) -> Result<DynOutputStream, ()> {
        if std::mem::replace(&mut self.lent, true) {
            return Err(());
        }
        Ok(Box::new(Writing(self.body.clone())))
    }

    /// Write what was gathered; it is durable then.
    pub(super) async fn finish(self, blobs: &Prepared) -> Result<(), Error> {
        let place = self.place.ok_or(Error::NoPlace)?;
        let (bytes, _loans) = lock(&self.body).take();
        let length = bytes.len() as u64;
        blobs.answered(blobs.store.put(place, bytes.into(), None).await)?;
        blobs.written.increment(length);
        Ok(())
    }
}

fn lock(body: &Mutex<Body>) -> MutexGuard<'_, Body> {
    body.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body {
    /// Make room for more bytes, by doubling, within what a blob and the plugin may have.
    fn reserve(&mut self, more: usize) -> Result<(), String> {
        let wanted = self.bytes.len() + more;
        if wanted > MAX_WRITE {
            return Err(format!("a value has `{wanted}` bytes; write {MAX_WRITE} at most"));
        }
        let capacity = self.bytes.capacity();
        if wanted > capacity {
            let grown = wanted.max(capacity * 2).clamp(PIECE, MAX_WRITE);
            let loan = self.lender.lend(grown - capacity);
            self.loans.push(loan.ok_or("the memory of the plugin is used up")?);
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        Ok(())
    }

    fn take(&mut self) -> (Vec<u8>, Vec<Loan>) {
        self.finished = true;
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.loans))
    }
}

/// The stream of an [`Outgoing`].
struct Writing(Arc<Mutex<Body>>);

impl OutputStream for Writing {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut body = lock(&self.0);
        if body.finished {
            return Err(StreamError::Closed);
        }
        if let Err(reason) = body.reserve(bytes.len()) {
            return Err(StreamError::LastOperationFailed(wasmtime::format_err!("{reason}")));
        }
        body.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if lock(&self.0).finished { Err(StreamError::Closed) } else { Ok(PIECE) }
    }
}

#[async_trait]
impl Pollable for Writing {
    async fn ready(&mut self) {}
}

/// Add the interface.
pub fn link(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    link_outgoing(types)?;
    link_incoming(types)
}

fn link_outgoing(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.resource("outgoing-value", ResourceType::host::<Outgoing>(), |mut store, this| {
        store.data_mut().table.delete(Resource::<Outgoing>::new_own(this))?;
        Ok(())
    })?;
    types.func_wrap(
        "[static]outgoing-value.new-outgoing-value",
        |mut store: StoreContextMut<'_, State>, (): ()| {
            let state = store.data_mut();
            Ok((state.table.push(Outgoing::new(state.memory.lender()))?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-value.outgoing-value-write-body",
        |mut store: StoreContextMut<'_, State>, (this,): (Resource<Outgoing>,)| {
            let table = &mut store.data_mut().table;
            Ok((match table.get_mut(&this)?.stream() {
                Ok(stream) => Ok(table.push(stream)?),
                Err(()) => Err(()),
            },))
        },
    )?;
    types.func_wrap_async(
        "[static]outgoing-value.finish",
        |mut store, (this,): (Resource<Outgoing>,)| {
            Box::new(async move {
                let blobs = own(&store)?;
                let State { call, table, .. } = store.data_mut();
                let value = table.delete(this)?;
                answer(call, value.finish(&blobs)).await
            })
        },
    )
}

fn link_incoming(types: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    types.resource("incoming-value", ResourceType::host::<Incoming>(), |mut store, this| {
        store.data_mut().table.delete(Resource::<Incoming>::new_own(this))?;
        Ok(())
    })?;
    types.func_wrap(
        "[method]incoming-value.size",
        |store: StoreContextMut<'_, State>, (this,): (Resource<Incoming>,)| {
            Ok((store.data().table.get(&this)?.size(),))
        },
    )?;
    types.func_wrap_async(
        "[static]incoming-value.incoming-value-consume-sync",
        |mut store, (this,): (Resource<Incoming>,)| {
            Box::new(async move {
                let State { call, table, .. } = store.data_mut();
                let value = table.delete(this)?;
                answer(call, value.whole()).await
            })
        },
    )?;
    types.func_wrap("[static]incoming-value.incoming-value-consume-async", stream)
}

/// `incoming-value-consume-async`
fn stream(
    mut store: StoreContextMut<'_, State>,
    (this,): (Resource<Incoming>,),
) -> Answer<Resource<DynInputStream>> {
    let State { table, memory, .. } = store.data_mut();
    let value = table.delete(this)?;
    let Some(loan) = memory.lender().lend(PIECE) else {
        return Ok((Err("the memory of the plugin is used up".into()),));
    };
    let reading = Reading { value, piece: Bytes::new(), failed: None, _loan: loan };
    Ok((Ok(table.push(Box::new(reading) as DynInputStream)?),))
}
