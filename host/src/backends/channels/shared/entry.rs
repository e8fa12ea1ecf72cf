//! What stands in the topic: who wrote it, and what it says. Records are read by other versions of
//! the host, too, so the first byte says how it is laid out; what cannot be read is left out.
//!
//! ```text
//! version 1 · node 4 · number 8 · kind 1 · what the kind has        little-endian
//! ```
//! A text has its length before it, in two bytes; the payload of a frame is the rest.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};

use super::super::{Effect, Frame, Kind, Limits, Options, Slow, Start};

/// How it is laid out.
const VERSION: u8 = 1;
/// Bytes before the kind.
const HEAD: usize = 1 + 4 + 8;

/// Who wrote it, and its place among what that node wrote to the partition: from 0 on, without a
/// gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The node.
    pub node: u32,
    /// Its number.
    pub number: u64,
}

/// What it says.
#[derive(Debug)]
pub enum Entry {
    /// A frame goes to all who joined a channel, which is made like this where it is not there.
    Frame { plugin: Arc<str>, channel: String, options: Options, frame: Frame },
    /// Somebody is shown, or shown differently.
    Show(Person),
    /// A connection of the node is no longer shown in a channel.
    Hide { plugin: Arc<str>, channel: String, connection: u64 },
    /// From here on the node tells in this partition who is shown, and begins with all.
    Begin {
        /// What others knew of it until now does not hold any longer.
        anew: bool,
    },
    /// Some of those who are shown.
    People(Vec<Person>),
    /// These were all.
    End,
    /// Something is to happen to a connection of another node; the channel it names is made like
    /// this.
    Order { plugin: Arc<str>, options: Options, effect: Effect },
    /// The node is there.
    Beat {
        /// Its clock, in milliseconds since 1970.
        sent_ms: u64,
    },
    /// The node wants to know whom the others show.
    Ask,
    /// Another node was not heard of for too long.
    Gone(u32),
    /// The node stops.
    Left,
    /// What plays in a channel, which is made like this where it is not there.
    Title {
        plugin: Arc<str>,
        channel: String,
        options: Options,
        title: String,
        /// It is so from now on; else for those who have not heard of any.
        fresh: bool,
    },
}

/// Somebody who is shown in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Whose channel it is.
    pub plugin: Arc<str>,
    /// The channel.
    pub channel: String,
    /// The connection.
    pub connection: u64,
    /// Who it is, for the plugin.
    pub key: String,
    /// What others may know.
    pub meta: String,
    /// The connection's last tag.
    pub tag: Tag,
}

/// What a connection's plugin gave it for its events. Of several that were heard of in different
/// partitions, the one with the highest version counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tag {
    /// Grows with each that the connection is given.
    pub version: u64,
    /// What it is.
    pub text: Arc<str>,
}

impl Person {
    /// What it takes in an entry, in bytes, at most.
    pub fn size(&self) -> usize {
        let texts = self.plugin.len() + self.channel.len() + self.key.len() + self.meta.len();
        texts + self.tag.text.len() + 5 * 2 + 2 * 8
    }
}

/// A whole record: the head, and the body that [`Entry::encode`] made.
pub fn record(head: Head, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.put_u8(VERSION);
    bytes.put_u32_le(head.node);
    bytes.put_u64_le(head.number);
    bytes.extend_from_slice(body);
    bytes
}

/// The head and the body of a record; `None` of one that another version wrote.
pub fn split(mut bytes: &[u8]) -> Option<(Head, &[u8])> {
    if bytes.len() < HEAD || bytes.get_u8() != VERSION {
        return None;
    }
    let head = Head { node: bytes.get_u32_le(), number: bytes.get_u64_le() };
    Some((head, bytes))
}

impl Entry {
    /// What stands behind the head.
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Vec::new();
        match self {
            Self::Frame { plugin, channel, options, frame } => {
                to.reserve(64 + plugin.len() + channel.len() + frame.payload().len());
                to.put_u8(1);
                put_text(&mut to, plugin);
                put_text(&mut to, channel);
                put_options(&mut to, options);
                put_frame(&mut to, frame);
            }
            Self::Show(person) => {
                to.put_u8(2);
                put_person(&mut to, person);
            }
            Self::Hide { plugin, channel, connection } => {
                to.put_u8(3);
                put_text(&mut to, plugin);
                put_text(&mut to, channel);
                to.put_u64_le(*connection);
            }
            Self::Begin { anew } => to.extend_from_slice(&[4, u8::from(*anew)]),
            Self::People(people) => {
                to.put_u8(5);
                people.iter().for_each(|person| put_person(&mut to, person));
            }
            Self::End => to.put_u8(6),
            Self::Order { plugin, options, effect } => {
                to.put_u8(7);
                put_text(&mut to, plugin);
                put_options(&mut to, options);
                put_effect(&mut to, effect);
            }
            Self::Beat { sent_ms } => {
                to.put_u8(8);
                to.put_u64_le(*sent_ms);
            }
            Self::Ask => to.put_u8(9),
            Self::Gone(node) => {
                to.put_u8(10);
                to.put_u32_le(*node);
            }
            Self::Left => to.put_u8(11),
            Self::Title { plugin, channel, options, title, fresh } => {
                to.put_u8(12);
                [&**plugin, channel, title].iter().for_each(|text| put_text(&mut to, text));
                put_options(&mut to, options);
                to.put_u8(u8::from(*fresh));
            }
        }
        to
    }

    /// What such bytes say; `None` where this version does not know.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        Some(match take_u8(from)? {
            1 => Self::Frame {
                plugin: take_text(from)?.into(),
                channel: take_text(from)?.to_owned(),
                options: take_options(from)?,
                frame: take_frame(from)?,
            },
            2 => Self::Show(take_person(from)?),
            3 => Self::Hide {
                plugin: take_text(from)?.into(),
                channel: take_text(from)?.to_owned(),
                connection: take_u64(from)?,
            },
            4 => Self::Begin { anew: take_u8(from)? != 0 },
            5 => {
                let mut people = Vec::new();
                while !from.is_empty() {
                    people.push(take_person(from)?);
                }
                Self::People(people)
            }
            6 => Self::End,
            7 => Self::Order {
                plugin: take_text(from)?.into(),
                options: take_options(from)?,
                effect: take_effect(from)?,
            },
            8 => Self::Beat { sent_ms: take_u64(from)? },
            9 => Self::Ask,
            10 => Self::Gone(take_u32(from)?),
            11 => Self::Left,
            12 => Self::Title {
                plugin: take_text(from)?.into(),
                channel: take_text(from)?.to_owned(),
                title: take_text(from)?.to_owned(),
                options: take_options(from)?,
                fresh: take_u8(from)? != 0,
            },
            _ => return None,
        })
    }
}

/// Every text is far shorter than what two bytes can say: whoever lets one in bounds it.
fn put_text(to: &mut Vec<u8>, text: &str) {
    let length = text.floor_char_boundary(usize::from(u16::MAX));
    to.put_u16_le(length as u16);
    to.extend_from_slice(&text.as_bytes()[..length]);
}

fn put_options(to: &mut Vec<u8>, options: &Options) {
    let Options { limits, slow, keep, shared } = options;
    to.put_u64_le(limits.frames as u64);
    to.put_u64_le(limits.bytes as u64);
    to.put_u8(match slow {
        Slow::Disconnect => 0,
        Slow::DropOldest => 1,
        Slow::SkipToLive => 2,
    });
    to.put_u64_le(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
    to.put_u8(u8::from(*shared));
}

fn put_frame(to: &mut Vec<u8>, frame: &Frame) {
    to.put_u8(match frame.kind() {
        Kind::Text => 0,
        Kind::Binary => 1,
    });
    to.extend_from_slice(frame.payload());
}

fn put_person(to: &mut Vec<u8>, person: &Person) {
    let Person { plugin, channel, connection, key, meta, tag } = person;
    put_text(to, plugin);
    put_text(to, channel);
    to.put_u64_le(*connection);
    to.put_u64_le(tag.version);
    [&**key, meta, &tag.text].iter().for_each(|text| put_text(to, text));
}

fn put_effect(to: &mut Vec<u8>, effect: &Effect) {
    let mut put = |kind: u8, connection: u64, texts: &[&str]| {
        to.put_u8(kind);
        to.put_u64_le(connection);
        texts.iter().for_each(|text| put_text(to, text));
    };
    match effect {
        // They are no orders: they go to all.
        Effect::Publish(..) | Effect::Title(..) => {}
        Effect::Join(id, channel, start) => {
            put(1, *id, &[channel]);
            put_start(to, *start);
        }
        Effect::Leave(id, channel) => put(2, *id, &[channel]),
        Effect::Send(id, frame) => {
            put(3, *id, &[]);
            put_frame(to, frame);
        }
        Effect::Close(id, code, reason) => {
            put(4, *id, &[reason]);
            to.put_u16_le(*code);
        }
        Effect::Retag(id, tag) => put(5, *id, &[tag]),
        Effect::Show(id, channel, key, meta) => put(6, *id, &[channel, key, meta]),
        Effect::Hide(id, channel) => put(7, *id, &[channel]),
    }
}

fn put_start(to: &mut Vec<u8>, start: Start) {
    let (kind, count) = match start {
        Start::Next => (0, 0),
        Start::Sequence(last) => (1, last),
        Start::Recent(frames) => (2, frames as u64),
        Start::Bytes(bytes) => (3, bytes as u64),
    };
    to.put_u8(kind);
    to.put_u64_le(count);
}

fn take_u8(from: &mut &[u8]) -> Option<u8> {
    from.try_get_u8().ok()
}

fn take_u32(from: &mut &[u8]) -> Option<u32> {
    from.try_get_u32_le().ok()
}

fn take_u64(from: &mut &[u8]) -> Option<u64> {
    from.try_get_u64_le().ok()
}

fn take_size(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_u64(from)?).ok()
}

fn take_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::from(from.try_get_u16_le().ok()?);
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

fn take_options(from: &mut &[u8]) -> Option<Options> {
    let limits = Limits { frames: take_size(from)?.max(1), bytes: take_size(from)? };
    let slow = match take_u8(from)? {
        0 => Slow::Disconnect,
        1 => Slow::DropOldest,
        2 => Slow::SkipToLive,
        _ => return None,
    };
    let keep = std::time::Duration::from_millis(take_u64(from)?);
    Some(Options { limits, slow, keep, shared: take_u8(from)? != 0 })
}

fn take_frame(from: &mut &[u8]) -> Option<Frame> {
    let kind = match take_u8(from)? {
        0 => Kind::Text,
        1 => Kind::Binary,
        _ => return None,
    };
    if kind == Kind::Text {
        std::str::from_utf8(from).ok()?;
    }
    // What was read with it is not kept with it.
    let payload = Bytes::copy_from_slice(std::mem::take(from));
    Some(Frame::new(kind, payload))
}

fn take_person(from: &mut &[u8]) -> Option<Person> {
    let (plugin, channel) = (take_text(from)?.into(), take_text(from)?.to_owned());
    let (connection, version) = (take_u64(from)?, take_u64(from)?);
    let (key, meta) = (take_text(from)?.to_owned(), take_text(from)?.to_owned());
    let tag = Tag { version, text: take_text(from)?.into() };
    Some(Person { plugin, channel, connection, key, meta, tag })
}

fn take_effect(from: &mut &[u8]) -> Option<Effect> {
    let (kind, id) = (take_u8(from)?, take_u64(from)?);
    let text = |from: &mut &[u8]| take_text(from).map(str::to_owned);
    Some(match kind {
        1 => Effect::Join(id, text(from)?, take_start(from)?),
        2 => Effect::Leave(id, text(from)?),
        3 => Effect::Send(id, take_frame(from)?),
        4 => {
            let reason = text(from)?;
            Effect::Close(id, from.try_get_u16_le().ok()?, reason)
        }
        5 => Effect::Retag(id, text(from)?),
        6 => Effect::Show(id, text(from)?, text(from)?, text(from)?),
        7 => Effect::Hide(id, text(from)?),
        _ => return None,
    })
}

fn take_start(from: &mut &[u8]) -> Option<Start> {
    Some(match (take_u8(from)?, take_u64(from)?) {
        (0, _) => Start::Next,
        (1, last) => Start::Sequence(last),
        (2, frames) => Start::Recent(usize::try_from(frames).ok()?),
        (3, bytes) => Start::Bytes(usize::try_from(bytes).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(connection: u64) -> Person {
        let (plugin, channel) = ("chat".into(), "rooms:lobby".to_owned());
        let (key, meta) = ("ada".to_owned(), "{}".to_owned());
        let tag = Tag { version: 3, text: "t".into() };
        Person { plugin, channel, connection, key, meta, tag }
    }

    fn all() -> Vec<Entry> {
        let plugin = || Arc::from("chat");
        let order = |effect| Entry::Order { plugin: plugin(), options: Options::default(), effect };
        let channel = || "rooms:lobby".to_owned();
        vec![
            Entry::Frame {
                plugin: plugin(),
                channel: channel(),
                options: Options { slow: Slow::SkipToLive, shared: false, ..Options::default() },
                frame: Frame::text("héllo"),
            },
            Entry::Show(person(7)),
            Entry::Hide { plugin: plugin(), channel: channel(), connection: 8 },
            Entry::Begin { anew: true },
            Entry::People(vec![person(1), person(2)]),
            Entry::End,
            order(Effect::Join(1, channel(), Start::Sequence(99))),
            order(Effect::Join(1, channel(), Start::Bytes(4096))),
            order(Effect::Leave(1, channel())),
            order(Effect::Send(1, Frame::binary(vec![0xff, 0]))),
            order(Effect::Close(1, 1008, "no".into())),
            order(Effect::Retag(1, "tag".into())),
            order(Effect::Show(1, channel(), "ada".into(), "{}".into())),
            order(Effect::Hide(1, channel())),
            Entry::Beat { sent_ms: 5 },
            Entry::Ask,
            Entry::Gone(6),
            Entry::Left,
            Entry::Title {
                plugin: plugin(),
                channel: channel(),
                options: Options::default(),
                title: "Ada - Notes".into(),
                fresh: true,
            },
        ]
    }

    #[test]
    fn what_was_written_is_read_again() {
        for (number, entry) in (0..).zip(all()) {
            let head = Head { node: 3, number };
            let bytes = record(head, &entry.encode());
            let (found, body) = split(&bytes).unwrap();
            assert_eq!(found, head);
            assert_eq!(format!("{:?}", Entry::decode(body).unwrap()), format!("{entry:?}"));
        }
    }

    #[test]
    fn what_another_version_wrote_is_left_out() {
        let mut bytes = record(Head { node: 3, number: 0 }, &Entry::Ask.encode());
        bytes[0] = 2;
        assert!(split(&bytes).is_none() && split(&[]).is_none());
        assert!(Entry::decode(&[99]).is_none() && Entry::decode(&[]).is_none());
    }

    #[test]
    fn a_text_that_is_cut_off_anywhere_is_no_entry() {
        for entry in [Entry::Show(person(7)), Entry::Gone(6)] {
            let bytes = entry.encode();
            for length in 0..bytes.len() {
                assert!(Entry::decode(&bytes[..length]).is_none(), "{length} of {entry:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange_to_be_looked_at(
            kind in 0_u8..14,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Entry::decode(&[&[kind][..], &bytes].concat());
            let _ = split(&bytes);
        }
    }
}
