//! The channels that one connection has joined: mostly none or one, which take no heap.

use std::slice;

use crate::backends::channels::Listener;

/// A connection's place in a channel.
pub struct Member {
    /// How far the connection is.
    pub listener: Listener,
    /// The key under which its thread hears the channel.
    pub heard: u32,
    /// Where the connection is among those for which the thread hears it.
    pub position: u32,
}

/// All channels of a connection.
pub enum Joined {
    /// One.
    One(Member),
    /// Any other number.
    Many(Vec<Member>),
}

impl Joined {
    /// No channel.
    pub fn new() -> Self {
        Self::Many(vec![])
    }

    /// All of them, in no order.
    pub fn all(&self) -> &[Member] {
        match self {
            Self::One(member) => slice::from_ref(member),
            Self::Many(members) => members,
        }
    }

    /// All of them, to be moved on.
    pub fn all_mut(&mut self) -> &mut [Member] {
        match self {
            Self::One(member) => slice::from_mut(member),
            Self::Many(members) => members,
        }
    }

    /// Where the channel is that the thread hears under this key.
    pub fn find(&self, heard: u32) -> Option<usize> {
        self.all().iter().position(|member| member.heard == heard)
    }

    /// One more.
    pub fn add(&mut self, member: Member) {
        let mut members = match std::mem::replace(self, Self::new()) {
            Self::Many(members) if members.is_empty() => return *self = Self::One(member),
            Self::Many(members) => members,
            Self::One(first) => vec![first],
        };
        members.push(member);
        *self = Self::Many(members);
    }

    /// One less, no matter which; `None` if there is none.
    pub fn pop(&mut self) -> Option<Member> {
        let last = self.all().last()?.heard;
        self.remove(last)
    }

    /// One less; `None` if it is not there.
    pub fn remove(&mut self, heard: u32) -> Option<Member> {
        let index = self.find(heard)?;
        let mut members = match std::mem::replace(self, Self::new()) {
            Self::One(member) => return Some(member),
            Self::Many(members) => members,
        };
        let removed = members.swap_remove(index);
        *self = match members.pop() {
            Some(last) if members.is_empty() => Self::One(last),
            Some(last) => {
                members.push(last);
                Self::Many(members)
            }
            None => Self::new(),
        };
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::backends::channels::{Channels, Options, Start};

    #[test]
    fn channels_come_and_go_and_one_alone_takes_no_heap() {
        let channel = Channels::new(9).open("a", Options::default()).unwrap();
        let mut joined = Joined::new();
        for heard in 0..3 {
            let (listener, _) = channel.listen(Start::Next);
            joined.add(Member { listener, heard, position: 0 });
            assert_eq!(matches!(joined, Joined::One(_)), heard == 0);
        }
        assert!(joined.remove(3).is_none());
        assert_eq!(joined.remove(0).unwrap().heard, 0);
        assert_eq!((joined.find(0), joined.all().len(), channel.listeners()), (None, 2, 2));
        joined.all_mut()[0].listener.take(1);
        assert!(joined.remove(1).is_some());
        assert!(matches!(&joined, Joined::One(last) if last.heard == 2));
        assert!(joined.remove(2).is_some());
        assert_eq!((joined.all().len(), channel.listeners()), (0, 0));
    }
}
