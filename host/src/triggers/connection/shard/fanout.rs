//! The channels that a thread hears, and how their news get to its connections.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use slab::Slab;

use super::{
    connection::Connection,
    outbox::{MAX_BYTES, MAX_FRAMES},
    tools::Tools,
    writing::News,
};
use crate::backends::channels::{Channel, Form, Frame, Hearer, Hearing, Portion};

/// How much of a channel is told at once; other channels come in between.
const PORTION: Portion = Portion { frames: MAX_FRAMES, bytes: MAX_BYTES };

/// A channel that at least one connection of the thread has joined.
struct Heard {
    hearing: Hearing,
    /// The first frame that was not told.
    seen: u64,
    /// The keys of the connections.
    members: Vec<u32>,
}

/// All channels that a thread hears.
#[derive(Default)]
pub struct Ears {
    heard: Slab<Heard>,
    /// Keys by the address of the channel, which a hearing keeps in its place.
    keys: HashMap<usize, u32>,
    /// What is told, here for its memory.
    frames: Vec<Arc<Frame>>,
    /// The same for each form that a listener has.
    pieces: [Vec<Bytes>; Form::ALL.len()],
}

/// What became of telling the news of a channel.
#[derive(Default)]
pub struct Told {
    /// Connections that have other things to write, too.
    pub dirty: Vec<u32>,
    /// Connections that ended, or that took not all.
    pub troubled: Vec<u32>,
    /// Whether the channel has more.
    pub more: bool,
}

impl Ears {
    /// The key under which a channel is heard, from now on if it was not.
    pub fn hear(&mut self, channel: &Arc<Channel>, hearer: &Arc<impl Hearer + 'static>) -> u32 {
        let address = Arc::as_ptr(channel).addr();
        if let Some(key) = self.keys.get(&address) {
            return *key;
        }
        let entry = self.heard.vacant_entry();
        let key = entry.key();
        let hearing = channel.hear(hearer.clone(), key);
        // What is pushed in between is told for nothing: who joins reads it itself.
        let seen = hearing.next();
        entry.insert(Heard { hearing, seen, members: vec![] });
        self.keys.insert(address, key as u32);
        key as u32
    }

    /// The key under which a channel is heard, if it is.
    pub fn find(&self, channel: &Arc<Channel>) -> Option<u32> {
        self.keys.get(&Arc::as_ptr(channel).addr()).copied()
    }

    /// Tell a connection of a channel; the answer is its position there.
    pub fn add(&mut self, heard: u32, connection: u32) -> u32 {
        let Some(heard) = self.heard.get_mut(heard as usize) else { return 0 };
        heard.members.push(connection);
        heard.members.len() as u32 - 1
    }

    /// Tell the connection at this position no more. The answer is the one that has its position
    /// from now on, if any. A channel without connections is not heard any more.
    pub fn remove(&mut self, heard: u32, position: u32) -> Option<u32> {
        let place = self.heard.get_mut(heard as usize)?;
        if (position as usize) < place.members.len() {
            place.members.swap_remove(position as usize);
        }
        if place.members.is_empty() {
            let gone = self.heard.try_remove(heard as usize)?;
            self.keys.remove(&Arc::as_ptr(gone.hearing.channel()).addr());
            return None;
        }
        place.members.get(position as usize).copied()
    }

    /// Read what a channel has, and write it to the connections.
    pub fn tell(
        &mut self,
        heard: u32,
        among_others: bool,
        connections: &mut Slab<Box<Connection>>,
        tools: &mut Tools,
        told: &mut Told,
    ) {
        told.more = false;
        let Some(place) = self.heard.get_mut(heard as usize) else { return };
        let read = place.hearing.look(place.seen, PORTION, &mut self.frames);
        place.seen = read.next;
        told.more = read.more;
        if self.frames.is_empty() {
            return;
        }
        for key in &place.members {
            let Some(connection) = connections.get_mut(*key as usize) else { continue };
            let pieces = &mut self.pieces[connection.form().index()];
            if pieces.is_empty() {
                let form = connection.form();
                pieces.extend(self.frames.iter().map(|f| tools.encoder.encode(f, form).clone()));
            }
            let (from, oldest) = (read.from, read.oldest);
            let news = News { heard, from, oldest, pieces, among_others };
            if connection.offer(&news, tools) && !connection.dirty {
                connection.dirty = true;
                told.dirty.push(*key);
            }
            if connection.is_troubled() {
                told.troubled.push(*key);
            }
        }
        self.frames.clear();
        self.pieces.iter_mut().for_each(Vec::clear);
    }
}
