//! The functions of `trellis:streaming`.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker, Lower},
};

use super::{Instance, State};
use crate::{
    backends::channels::{self, Effect, Kind, Refused, presence},
    capabilities::Call,
};

const CHANNELS: &str = "trellis:streaming/channels@0.1.0";
const PRESENCE: &str = "trellis:streaming/presence@0.1.0";
const MAILBOXES: &str = "trellis:streaming/mailboxes@0.1.0";

/// The interfaces.
pub const INTERFACES: &[&str] = &[CHANNELS, PRESENCE, MAILBOXES];

/// `frame`, on its way in and out.
#[derive(Clone, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Frame {
    /// Text.
    #[component(name = "text")]
    Text(String),
    /// Anything else.
    #[component(name = "binary")]
    Binary(Bytes),
}

impl From<Frame> for channels::Frame {
    fn from(frame: Frame) -> Self {
        match frame {
            Frame::Text(text) => Self::text(text),
            Frame::Binary(bytes) => Self::binary(bytes),
        }
    }
}

impl From<&channels::Frame> for Frame {
    fn from(frame: &channels::Frame) -> Self {
        match frame.kind() {
            Kind::Text => Self::Text(String::from_utf8_lossy(frame.payload()).into_owned()),
            Kind::Binary => Self::Binary(frame.payload().clone()),
        }
    }
}

/// `start`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub enum Start {
    /// With the next frame.
    #[component(name = "next")]
    Next,
    /// Behind the frame with this number.
    #[component(name = "after")]
    After(u64),
    /// With the last so many frames.
    #[component(name = "recent")]
    Recent(u32),
    /// With the last so many bytes.
    #[component(name = "burst")]
    Burst(u32),
}

impl From<Start> for channels::Start {
    fn from(start: Start) -> Self {
        match start {
            Start::Next => Self::Next,
            Start::After(sequence) => Self::Sequence(sequence),
            Start::Recent(frames) => Self::Recent(frames as usize),
            Start::Burst(bytes) => Self::Bytes(bytes as usize),
        }
    }
}

/// `error`
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "unavailable")]
    Unavailable(String),
}

impl From<super::Error> for Error {
    fn from(error: super::Error) -> Self {
        match error {
            super::Error::Space(
                channels::Error::Channel(Refused::TooMany(_))
                | channels::Error::TooManyMailboxes(_),
            ) => Self::TooMany,
            super::Error::Space(full @ channels::Error::Full(_)) => {
                Self::Unavailable(full.to_string())
            }
            mistake => Self::Invalid(mistake.to_string()),
        }
    }
}

/// `shown`
#[derive(ComponentType, Lower)]
#[component(record)]
struct Shown {
    connection: u64,
    key: String,
    meta: String,
}

impl From<&presence::Shown> for Shown {
    fn from(shown: &presence::Shown) -> Self {
        let presence::Shown { connection, key, meta } = shown;
        Self { connection: *connection, key: key.clone(), meta: meta.clone() }
    }
}

type Store<'a> = StoreContextMut<'a, State>;
type Answer<T = ()> = wasmtime::Result<(Result<T, Error>,)>;

/// The store's part of the channels, and the call. The load refused a component that imports
/// them without a grant.
fn own<'a>(store: &'a mut Store<'_>) -> wasmtime::Result<(&'a mut Instance, &'a mut Call)> {
    let State { call, own, .. } = store.data_mut();
    let instance = own.channels.as_mut();
    Ok((instance.ok_or_else(|| wasmtime::format_err!("`channels` was not granted"))?, call))
}

fn cause(store: &mut Store<'_>, effect: Effect) -> Answer {
    let (channels, _) = own(store)?;
    Ok((channels.cause(effect).map_err(wasmtime::Error::from)?.map_err(Error::from),))
}

/// The same for what may have to wait before. Where it waits in vain, it is told what holds it up
/// while there is time for an answer.
async fn settle(store: &mut Store<'_>, effect: Effect) -> Answer {
    let (channels, call) = own(store)?;
    let patience = call.remaining() / 2;
    let _ = call.wait(tokio::time::timeout(patience, channels.settled(&effect))).await;
    cause(store, effect)
}

/// Where a mistake cannot be told: there is nothing that could be left or hidden then.
fn cause_silently(store: &mut Store<'_>, effect: Effect) -> wasmtime::Result<()> {
    cause(store, effect).map(drop)
}

/// Add every function.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_channels(linker)?;
    link_connections(linker)?;
    link_presence(linker)?;
    link_mailboxes(linker)
}

fn link_channels(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(CHANNELS)?;
    interface.func_wrap_async(
        "publish",
        |mut store: Store<'_>, (channel, frame): (String, Frame)| {
            Box::new(
                async move { settle(&mut store, Effect::Publish(channel, frame.into())).await },
            )
        },
    )?;
    interface.func_wrap("title", |mut store: Store<'_>, (channel, title): (String, String)| {
        cause(&mut store, Effect::Title(channel, title))
    })?;
    interface.func_wrap("listeners", |mut store: Store<'_>, (channel,): (String,)| {
        let (channels, _) = own(&mut store)?;
        let listeners = channels.prepared.space.listeners(&channel);
        Ok((u32::try_from(listeners).unwrap_or(u32::MAX),))
    })?;
    interface.func_wrap("recent", |mut store: Store<'_>, (channel, most): (String, u32)| {
        let (channels, _) = own(&mut store)?;
        let frames = channels.prepared.space.recent(&channel, most as usize);
        Ok((frames.iter().map(|frame| Frame::from(&**frame)).collect::<Vec<_>>(),))
    })
}

fn link_connections(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(CHANNELS)?;
    interface.func_wrap_async(
        "join",
        |mut store: Store<'_>, (connection, channel, start): (u64, String, Start)| {
            Box::new(async move {
                settle(&mut store, Effect::Join(connection, channel, start.into())).await
            })
        },
    )?;
    interface.func_wrap(
        "leave",
        |mut store: Store<'_>, (connection, channel): (u64, String)| {
            cause_silently(&mut store, Effect::Leave(connection, channel))
        },
    )?;
    interface.func_wrap("send", |mut store: Store<'_>, (connection, frame): (u64, Frame)| {
        cause(&mut store, Effect::Send(connection, frame.into()))
    })?;
    interface.func_wrap(
        "close",
        |mut store: Store<'_>, (connection, code, reason): (u64, u16, String)| {
            cause(&mut store, Effect::Close(connection, code, reason))
        },
    )?;
    interface.func_wrap("retag", |mut store: Store<'_>, (connection, tag): (u64, String)| {
        cause(&mut store, Effect::Retag(connection, tag))
    })?;
    interface.func_wrap("buffered", |mut store: Store<'_>, (connection,): (u64,)| {
        let (channels, _) = own(&mut store)?;
        Ok((channels.prepared.space.waiting(connection) as u64,))
    })?;
    interface.func_wrap("tag", |mut store: Store<'_>, (connection,): (u64,)| {
        let (channels, _) = own(&mut store)?;
        Ok((channels.prepared.space.tag(connection).map(|tag| tag.to_string()),))
    })
}

fn link_presence(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(PRESENCE)?;
    interface.func_wrap(
        "show",
        |mut store: Store<'_>, (connection, channel, key, meta): (u64, String, String, String)| {
            cause(&mut store, Effect::Show(connection, channel, key, meta))
        },
    )?;
    interface.func_wrap("hide", |mut store: Store<'_>, (connection, channel): (u64, String)| {
        cause_silently(&mut store, Effect::Hide(connection, channel))
    })?;
    interface.func_wrap("who", |mut store: Store<'_>, (channel,): (String,)| {
        let (channels, _) = own(&mut store)?;
        let shown = channels.prepared.space.who(&channel);
        Ok((shown.iter().map(|shown| Shown::from(&**shown)).collect::<Vec<_>>(),))
    })
}

fn link_mailboxes(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = linker.instance(MAILBOXES)?;
    interface.func_wrap(
        "open",
        |mut store: Store<'_>, (tag, idle): (String, u64)| -> Answer<u64> {
            let (channels, _) = own(&mut store)?;
            Ok((channels.open_mailbox(&tag, idle).map_err(Error::from),))
        },
    )?;
    interface.func_wrap_async(
        "read",
        |mut store: Store<'_>, (connection, most, wait): (u64, u32, u64)| {
            Box::new(async move {
                let (channels, call) = own(&mut store)?;
                let Some(mailbox) = channels.mailbox(connection) else { return Ok((None,)) };
                let wait = Duration::from_millis(wait).min(call.remaining());
                let frames = call.wait(mailbox.read(most as usize, wait)).await;
                let frames = frames.map(|frames| {
                    frames.iter().map(|frame| Frame::from(&**frame)).collect::<Vec<_>>()
                });
                Ok((frames,))
            })
        },
    )
}
