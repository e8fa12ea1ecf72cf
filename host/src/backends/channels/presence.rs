//! Who is shown in which channel.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::space::MAX_JOINED;

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

/// Who is shown in the channels of one plugin.
#[derive(Default)]
pub struct Presence {
    /// Counts whoever comes, so that they stand in that order.
    came: u64,
    /// Shared, so that a list is made without holding anybody up.
    channels: HashMap<String, BTreeMap<u64, Arc<Shown>>>,
    /// By connection: the channels it is shown in, and its place in each.
    places: HashMap<u64, HashMap<String, u64>>,
}

impl Presence {
    /// Show a connection, or replace what is shown of it. Whether it may be in one more channel.
    pub fn show(&mut self, connection: u64, channel: String, key: String, meta: String) -> bool {
        let places = self.places.entry(connection).or_default();
        if places.len() >= MAX_JOINED && !places.contains_key(&channel) {
            return false;
        }
        let place = *places.entry(channel.clone()).or_insert_with(|| {
            self.came += 1;
            self.came
        });
        let shown = Arc::new(Shown { connection, key, meta });
        self.channels.entry(channel).or_default().insert(place, shown);
        true
    }

    /// Show it there no longer.
    pub fn hide(&mut self, connection: u64, channel: &str) {
        let Some(places) = self.places.get_mut(&connection) else { return };
        let place = places.remove(channel);
        if places.is_empty() {
            self.places.remove(&connection);
        }
        if let Some(place) = place {
            self.take_out(channel, place);
        }
    }

    /// Show it nowhere.
    pub fn forget(&mut self, connection: u64) {
        for (channel, place) in self.places.remove(&connection).unwrap_or_default() {
            self.take_out(&channel, place);
        }
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
            assert!(presence.show(connection, "room".into(), key.into(), String::new()));
        }
        presence.show(5, "room".into(), "eve".into(), "!".into());
        assert_eq!(names(&presence, "room"), ["eve!", "ada", "bob"]);
        presence.hide(1, "room");
        presence.show(1, "room".into(), "ada".into(), String::new());
        assert_eq!(names(&presence, "room"), ["eve!", "bob", "ada"]);
    }

    #[test]
    fn nothing_is_left_of_whoever_is_gone() {
        let mut presence = Presence::default();
        for channel in ["a", "b"] {
            presence.show(1, channel.into(), "ada".into(), String::new());
        }
        presence.hide(1, "a");
        presence.hide(1, "a");
        presence.hide(2, "b");
        presence.forget(1);
        assert!(presence.channels.is_empty() && presence.places.is_empty());
    }

    #[test]
    fn a_connection_is_shown_in_so_many_channels_and_no_more() {
        let mut presence = Presence::default();
        let mut show = |number| presence.show(1, format!("c{number}"), "k".into(), String::new());
        assert!((0..MAX_JOINED).all(&mut show));
        assert!(!show(MAX_JOINED));
        assert!(show(0), "it is there already");
    }
}
