//! The part of a space that other nodes see, and what comes from them. Nothing of it happens where
//! channels are not shared.

use std::sync::{Arc, PoisonError};

use metrics::counter;

use super::{
    super::{
        Channel, Frame, Limits, Options,
        shared::{Person, Telling},
    },
    Space,
};

impl Space {
    /// A frame of a channel has come back through the topic. It waits a moment where more comes
    /// than those who serve connections can write.
    pub async fn arrived(&self, name: &str, options: Options, frame: Frame, number: u64) {
        if let Some(channel) = self.channel_of_all(name, options) {
            channel.settled().await;
            channel.push_as(frame, number);
        }
    }

    /// What plays in a channel has come back; where it is not `fresh`, it is for those who have not
    /// heard of anything.
    pub fn plays(&self, name: &str, options: Options, title: &str, fresh: bool) {
        if let Some(channel) = self.channel_of_all(name, options)
            && (fresh || channel.title().is_none())
        {
            channel.entitle(title);
        }
    }

    /// A channel that is on all nodes, made as another one says, within what may be kept here.
    fn channel_of_all(&self, name: &str, options: Options) -> Option<Arc<Channel>> {
        let limits = Limits {
            frames: options.limits.frames.min(self.most.frames),
            bytes: options.limits.bytes.min(self.most.bytes),
        };
        let opened = self.channels.open(name, Options { limits, ..options });
        let lost = |error| {
            counter!("trellis_channel_topic_failures_total").increment(1);
            tracing::debug!(plugin = %self.plugin, %error, "what came to a channel of all hosts is left out");
        };
        opened.map_err(lost).ok()
    }

    /// Somebody is shown on another node.
    pub fn show_other(&self, person: Person) {
        self.presence().show_other(person);
    }

    /// A connection of another node is shown in a channel no longer.
    pub fn hide_other(&self, connection: u64, channel: &str) {
        self.presence().hide(connection, channel);
    }

    /// Nobody of another node is shown any longer in the channels that are meant; those who are
    /// shown nowhere now, with their last tags.
    pub fn hide_node(&self, node: u32, is_meant: impl Fn(&str) -> bool) -> Vec<(u64, Arc<str>)> {
        self.presence().hide_node(node, is_meant)
    }

    /// Tell other nodes of the channels that are asked about: who is shown here, and what plays.
    pub fn tell(&self, telling: &mut Telling<'_>) {
        let channels = self.channels.all().into_iter();
        for channel in channels.filter(|channel| channel.options().shared) {
            if let Some(title) = channel.title()
                && telling.is_about(&self.plugin, channel.name())
            {
                telling.title(&self.plugin, &channel, title.text());
            }
        }
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let presence = self.presence();
        let mut people = Vec::new();
        for connection in presence.own() {
            let Some(own) = connections.get(&connection) else { continue };
            for (channel, shown) in presence.shared(connection) {
                if telling.is_about(&self.plugin, &channel) {
                    let (plugin, tag) = (self.plugin.clone(), own.own().tag.clone());
                    let (key, meta) = (shown.key.clone(), shown.meta.clone());
                    people.push(Person { plugin, channel, connection, key, meta, tag });
                }
            }
        }
        // Under the lock: what changes from now on comes behind it.
        telling.people(people);
    }

    /// Tell other nodes of a connection as it is now, if it is shown.
    pub fn announce(&self, connection: u64) {
        let Some(shared) = &self.shared else { return };
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = connections.get(&connection) else { return };
        let presence = self.presence();
        for (channel, shown) in presence.shared(connection) {
            let (plugin, tag) = (self.plugin.clone(), own.own().tag.clone());
            let (key, meta) = (shown.key.clone(), shown.meta.clone());
            shared.show(Person { plugin, channel, connection, key, meta, tag });
        }
    }

    /// End the connections that other nodes knew of. Their plugin is not told: it was, elsewhere.
    pub fn send_away(&self, code: u16, reason: &str) {
        let shown = {
            let presence = self.presence();
            let own = presence.own().into_iter();
            own.filter(|id| !presence.shared(*id).is_empty()).collect::<Vec<_>>()
        };
        for id in shown {
            self.with(id, |connection| connection.outlet.close(code, reason));
            self.remove(id);
        }
    }
}
