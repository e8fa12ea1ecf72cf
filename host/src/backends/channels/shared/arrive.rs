//! What happens when an entry of the topic has come back: the same on each node, in the order of
//! the partition.

use std::sync::Arc;

use metrics::gauge;

use super::{
    super::{Effect, End, Hub},
    CONTROL, Shared,
    entry::{Entry, Person},
};
use crate::quantity::now_ms;

/// What the connections of a host are told that was taken for gone and is not.
const TAKEN_FOR_GONE: &str = "other hosts took this one for gone; come again";
/// Service restart.
const RESTART: u16 = 1012;
/// No close came.
const LOST: u16 = 1006;

/// Let happen what an entry says that `node` wrote.
pub async fn arrive(
    hub: &Hub,
    shared: &Arc<Shared>,
    partition: u32,
    offset: u64,
    node: u32,
    entry: Entry,
) {
    let is_own = node == shared.node;
    shared.peers().heard(node);
    match entry {
        Entry::Frame { plugin, channel, options, frame } => {
            // A number is never 0, and offsets are.
            hub.space(&plugin).arrived(&channel, options, frame, offset + 1).await;
        }
        Entry::Title { plugin, channel, options, title, fresh } => {
            hub.space(&plugin).plays(&channel, options, &title, fresh);
        }
        Entry::Order { plugin, options, effect } => {
            if effect.connection().is_some_and(|id| shared.is_own(id)) {
                order(hub, &plugin, options, effect);
            }
        }
        Entry::Beat { sent_ms } if is_own => beat(shared, sent_ms),
        Entry::Beat { .. } => {
            if shared.peers().beat(node) && shared.is_caught_up() {
                shared.say(CONTROL, &Entry::Ask);
            }
        }
        // What follows is about others; of itself a node knows it.
        Entry::Gone(gone) => leave(hub, shared, gone, is_own),
        _ if is_own => {}
        Entry::Show(person) => {
            if shared.peers().tells(node, partition) && is_of(node, person.connection) {
                show(hub, person);
            }
        }
        Entry::People(people) => {
            if shared.peers().tells(node, partition) {
                let people = people.into_iter().filter(|one| is_of(node, one.connection));
                people.for_each(|person| show(hub, person));
            }
        }
        Entry::Hide { plugin, channel, connection } => {
            if is_of(node, connection) {
                hub.space(&plugin).hide_other(connection, &channel);
            }
        }
        Entry::Begin { anew } => {
            if shared.peers().begins(node, partition, anew) {
                for space in hub.all() {
                    let is_here =
                        |channel: &str| shared.partition_of(space.plugin(), channel) == partition;
                    space.hide_node(node, is_here);
                }
            }
        }
        Entry::End => shared.peers().ends(node, partition),
        Entry::Ask => {
            if shared.is_caught_up() {
                hub.tell_people(shared, false);
            }
        }
        Entry::Left => {
            if shared.peers().remove(node) {
                forget(hub, node);
            }
        }
    }
}

/// Whether a connection is a node's.
fn is_of(node: u32, connection: u64) -> bool {
    super::node_of(connection) == node
}

fn show(hub: &Hub, person: Person) {
    let plugin = Arc::clone(&person.plugin);
    hub.space(&plugin).show_other(person);
}

/// Another node asked for something to happen to a connection of this one.
fn order(hub: &Hub, plugin: &Arc<str>, options: super::super::Options, effect: Effect) {
    if let Err(error) = hub.space(plugin).act(effect, options) {
        tracing::warn!(%plugin, %error, "what another host asked for was left out");
    }
}

/// An own beat has come back.
fn beat(shared: &Shared, sent_ms: u64) {
    let delay = now_ms().saturating_sub(sent_ms);
    gauge!("trellis_channel_topic_delay_seconds").set(delay as f64 / 1000.0);
    shared.in_touch();
    let lost = if shared.is_caught_up() { shared.peers().own_beat() } else { Vec::new() };
    for node in lost {
        shared.say(CONTROL, &Entry::Gone(node));
    }
    gauge!("trellis_channel_nodes").set(shared.peers().count() as f64 + 1.0);
}

/// A node is gone: nobody sees its people any longer, and the node that said so first tells the
/// plugins.
fn leave(hub: &Hub, shared: &Shared, node: u32, is_told_here: bool) {
    if node == shared.node {
        tracing::warn!(
            "other hosts took this one for gone: the people in its channels are sent away"
        );
        for space in hub.all() {
            space.send_away(RESTART, TAKEN_FOR_GONE);
        }
        return hub.tell_people(shared, true);
    }
    if !shared.peers().remove(node) {
        return;
    }
    tracing::warn!(node, "a host that shares the channels is gone, and its people with it");
    for (plugin, people) in forget(hub, node) {
        if !is_told_here {
            continue;
        }
        for (connection, tag) in people {
            let end = End { code: LOST, reason: "its host is gone".to_owned() };
            hub.ended(&plugin, connection, tag, end);
        }
    }
}

type Gone = Vec<(u64, Arc<str>)>;

/// Nobody of a node is shown any longer: who was, by plugin.
fn forget(hub: &Hub, node: u32) -> Vec<(Arc<str>, Gone)> {
    let spaces = hub.all().into_iter();
    spaces.map(|space| (space.plugin().clone(), space.hide_node(node, |_| true))).collect()
}
