//! Who is shown in which channel.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    shared::{self, Person, Tag},
    space::MAX_JOINED,
};

/// One connection in one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The connection.
    pub connection: u64,
    /// Who it is, for its plugin.
    pub key: String,
    /// What others may know.
    pub meta: String,
}

/// Who is shown in the channels of one plugin, on this node and on those that share channels with
/// it.
#[derive(Default)]
pub struct Presence {
    /// Counts whoever comes, so that they stand in that order.
    came: u64,
    /// Shared, so that a list is made without holding anybody up.
    channels: HashMap<String, BTreeMap<u64, Arc<Shown>>>,
    /// By connection: the channels it is shown in, and its place in each.
    places: HashMap<u64, HashMap<String, Place>>,
    /// Of those of other nodes: their last tags.
    tags: HashMap<u64, Tag>,
}

/// Where a connection stands in a channel.
#[derive(Clone, Copy)]
struct Place {
    number: u64,
    /// Whether other nodes know.
    shared: bool,
}

impl Presence {
    /// Show a connection, or replace what is shown of it. Whether it may be in one more channel.
    pub fn show(
        &mut self,
        connection: u64,
        channel: String,
        key: String,
        meta: String,
        shared: bool,
    ) -> bool {
        let places = self.places.entry(connection).or_default();
        if places.len() >= MAX_JOINED && !places.contains_key(&channel) {
            return false;
        }
        let place = places.entry(channel.clone()).or_insert_with(|| {
            self.came += 1;
            Place { number: self.came, shared }
        });
        place.shared = shared;
        let shown = Arc::new(Shown { connection, key, meta });
        self.channels.entry(channel).or_default().insert(place.number, shown);
        true
    }

    /// Show a connection of another node, which had this tag last.
    pub fn show_other(&mut self, person: Person) {
        let Person { channel, connection, key, meta, tag, .. } = person;
        if self.show(connection, channel, key, meta, true) {
            let known = self.tags.entry(connection).or_default();
            if known.version <= tag.version {
                *known = tag;
            }
        }
    }

    /// Show it there no longer. Whether other nodes knew.
    pub fn hide(&mut self, connection: u64, channel: &str) -> bool {
        let Some(places) = self.places.get_mut(&connection) else { return false };
        let place = places.remove(channel);
        if places.is_empty() {
            self.places.remove(&connection);
            self.tags.remove(&connection);
        }
        let Some(place) = place else { return false };
        self.take_out(channel, place.number);
        place.shared
    }

    /// Show it nowhere: the channels of which other nodes knew.
    pub fn forget(&mut self, connection: u64) -> Vec<String> {
        self.tags.remove(&connection);
        let mut shared = Vec::new();
        for (channel, place) in self.places.remove(&connection).unwrap_or_default() {
            self.take_out(&channel, place.number);
            if place.shared {
                shared.push(channel);
            }
        }
        shared
    }

    /// Show nobody of another node any longer in the channels that are meant. Those who were shown
    /// nowhere else, with their tags.
    pub fn hide_node(
        &mut self,
        node: u32,
        is_meant: impl Fn(&str) -> bool,
    ) -> Vec<(u64, Arc<str>)> {
        let mut gone = Vec::new();
        let those: Vec<u64> =
            self.places.keys().copied().filter(|id| shared::node_of(*id) == node).collect();
        for connection in those {
            let channels = self.places.get(&connection).into_iter().flat_map(HashMap::keys);
            let meant: Vec<_> = channels.filter(|channel| is_meant(channel)).cloned().collect();
            let tag = self.tag(connection).unwrap_or_default();
            for channel in meant {
                self.hide(connection, &channel);
            }
            if !self.places.contains_key(&connection) {
                gone.push((connection, tag));
            }
        }
        gone
    }

    /// What was last heard of the tag of another node's connection.
    pub fn tag(&self, connection: u64) -> Option<Arc<str>> {
        self.tags.get(&connection).map(|tag| tag.text.clone())
    }

    /// Where a connection is shown, and other nodes know: the channels, and what is shown.
    pub fn shared(&self, connection: u64) -> Vec<(String, Arc<Shown>)> {
        let places = self.places.get(&connection).into_iter().flatten();
        let shown = |(channel, place): (&String, &Place)| {
            let shown = self.channels.get(channel)?.get(&place.number)?;
            place.shared.then(|| (channel.clone(), shown.clone()))
        };
        places.filter_map(shown).collect()
    }

    /// The connections that are shown, those of other nodes left out.
    pub fn own(&self) -> Vec<u64> {
        self.places.keys().copied().filter(|id| !self.tags.contains_key(id)).collect()
    }

    /// Who is shown, in the order in which they came.
    pub fn who(&self, channel: &str) -> Vec<Arc<Shown>> {
        self.channels.get(channel).map_or_else(Vec::new, |shown| shown.values().cloned().collect())
    }

    fn take_out(&mut self, channel: &str, place: u64) {
        let Some(shown) = self.channels.get_mut(channel) else { return };
        shown.remove(&place);
        if shown.is_empty() {
            self.channels.remove(channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(presence: &Presence, channel: &str) -> Vec<String> {
        presence.who(channel).iter().map(|shown| shown.key.clone() + &shown.meta).collect()
    }

    #[test]
    fn people_stand_in_the_order_in_which_they_came_and_keep_their_place() {
        let mut presence = Presence::default();
        for (connection, key) in [(5, "eve"), (1, "ada"), (3, "bob")] {
            assert!(presence.show(connection, "room".into(), key.into(), String::new(), true));
        }
        presence.show(5, "room".into(), "eve".into(), "!".into(), true);
        assert_eq!(names(&presence, "room"), ["eve!", "ada", "bob"]);
        presence.hide(1, "room");
        presence.show(1, "room".into(), "ada".into(), String::new(), true);
        assert_eq!(names(&presence, "room"), ["eve!", "bob", "ada"]);
    }

    #[test]
    fn nothing_is_left_of_whoever_is_gone() {
        let mut presence = Presence::default();
        for channel in ["a", "b"] {
            presence.show(1, channel.into(), "ada".into(), String::new(), true);
        }
        presence.hide(1, "a");
        presence.hide(1, "a");
        presence.hide(2, "b");
        presence.forget(1);
        assert!(presence.channels.is_empty() && presence.places.is_empty());
    }

    fn person(node: u64, number: u64, channel: &str) -> Person {
        let (plugin, channel, key) = ("p".into(), channel.to_owned(), format!("k{number}"));
        let connection = (node << shared::NODE_SHIFT) + number;
        let tag = Tag { version: 1, text: "t".into() };
        Person { plugin, channel, connection, key, meta: String::new(), tag }
    }

    #[test]
    fn of_the_tags_of_another_nodes_connection_the_last_counts() {
        let mut presence = Presence::default();
        for (version, text, last) in [(1, "a", "a"), (3, "c", "c"), (2, "b", "c")] {
            let tag = Tag { version, text: text.into() };
            presence.show_other(Person { tag, ..person(2, 1, text) });
            assert_eq!(presence.tag(person(2, 1, "a").connection).as_deref(), Some(last));
        }
    }

    #[test]
    fn nobody_of_a_node_that_is_gone_is_shown_and_others_are() {
        let mut presence = Presence::default();
        for (node, number, channel) in [(2, 1, "a"), (2, 1, "b"), (2, 2, "a"), (3, 1, "a")] {
            presence.show_other(person(node, number, channel));
        }
        let one = person(2, 1, "a").connection;
        assert_eq!(presence.tag(one).as_deref(), Some("t"));
        // Still shown in `b`.
        assert_eq!(presence.hide_node(2, |channel| channel == "a").len(), 1);
        assert_eq!(names(&presence, "a"), ["k1"]);
        assert_eq!(presence.hide_node(2, |_| true), [(one, "t".into())]);
        presence.hide_node(3, |_| true);
        assert!(presence.channels.is_empty() && presence.places.is_empty());
        assert!(presence.tags.is_empty());
    }

    #[test]
    fn what_other_nodes_are_told_is_what_is_shared() {
        let mut presence = Presence::default();
        for (channel, shared) in [("a", true), ("b", false)] {
            presence.show(1, channel.into(), "ada".into(), String::new(), shared);
        }
        presence.show_other(person(2, 1, "a"));
        assert_eq!(presence.own(), [1]);
        let shared: Vec<_> = presence.shared(1).into_iter().map(|(name, _)| name).collect();
        assert_eq!(shared, ["a"]);
        assert!(!presence.hide(1, "b") && presence.hide(1, "a") && !presence.hide(1, "a"));
    }

    #[test]
    fn a_connection_is_shown_in_so_many_channels_and_no_more() {
        let mut presence = Presence::default();
        let mut show =
            |number| presence.show(1, format!("c{number}"), "k".into(), String::new(), true);
        assert!((0..MAX_JOINED).all(&mut show));
        assert!(!show(MAX_JOINED));
        assert!(show(0), "it is there already");
    }
}
