//! What a `[[consume]]` table asks for, and what makes it impossible.

use std::sync::Arc;

use crate::{
    backends::log::{MAX_NAME, Start, Subscription},
    manifest::{Consume, Delivery, StartAt},
    plugins::{Blueprint, Check, Claim, Generation},
};

/// One `[[consume]]` table of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The plugin's name.
    pub plugin: Arc<str>,
    /// The group: the plugin's name where the manifest names none.
    pub group: Arc<str>,
    /// As the manifest has it.
    pub consume: Consume,
}

/// What a table keeps over a reload keeps its member, and so its place in each partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    plugin: Arc<str>,
    group: Arc<str>,
    topics: Vec<String>,
    /// Another delivery keeps its offsets elsewhere, so the partitions are taken up afresh.
    delivery: Delivery,
}

/// A table and the generation that serves it now.
#[derive(Clone)]
pub struct Bound {
    /// The table.
    pub table: Arc<Table>,
    /// The generation.
    pub generation: Arc<Generation>,
}

impl Key {
    /// Whether the table reads this topic for this group.
    pub fn reads(&self, group: &str, topic: &str) -> bool {
        *self.group == *group && self.topics.iter().any(|own| own == topic)
    }
}

impl Table {
    /// A table of a plugin.
    pub fn new(plugin: Arc<str>, consume: Consume) -> Self {
        let group = consume.group.as_deref().map_or_else(|| plugin.clone(), Arc::from);
        Self { plugin, group, consume }
    }

    /// What tells it from others.
    pub fn key(&self) -> Key {
        let mut topics = self.consume.topics.clone();
        topics.sort_unstable();
        topics.dedup();
        Key {
            plugin: self.plugin.clone(),
            group: self.group.clone(),
            topics,
            delivery: self.consume.delivery,
        }
    }

    /// What to ask the log for.
    pub fn subscription(&self) -> Subscription {
        let topics = self.key().topics.into_iter().map(Arc::from).collect();
        let start = match self.consume.start {
            StartAt::Earliest => Start::Earliest,
            StartAt::Latest => Start::Latest,
        };
        Subscription { group: self.group.clone(), topics, start }
    }

    /// Where messages of a topic go that could not be handled.
    pub fn dead_letter(&self, topic: &str) -> String {
        let default = || format!("{topic}.dead.{}", self.group);
        self.consume.dead_letter.clone().unwrap_or_else(default)
    }

    /// Whether a failed batch leaves nothing behind, so that all of it comes again.
    pub fn rolls_back(&self) -> bool {
        self.consume.delivery != Delivery::AtLeastOnce
    }

    /// Its topics within its group: another plugin that had one would take its messages.
    fn claims(&self) -> impl Iterator<Item = Claim> {
        let group = &self.group;
        self.consume.topics.iter().map(move |topic| Claim {
            // No topic has a space in its name.
            thing: format!("topic {topic} {group}"),
            said: format!("topic `{topic}` in group `{group}`"),
            remedy: "choose another `group`",
        })
    }
}

/// The tables of a generation, none unless it exports a consumer.
pub fn tables(generation: &Generation) -> impl Iterator<Item = Table> {
    of(generation.blueprint(), generation.plugin.clone())
}

fn of(blueprint: &Blueprint, plugin: Arc<str>) -> impl Iterator<Item = Table> {
    let consumes = blueprint.offered.consumer.is_some();
    let tables = blueprint.manifest.consume.iter().filter(move |_| consumes);
    tables.map(move |consume| Table::new(plugin.clone(), consume.clone()))
}

/// Refuses components whose tables cannot work, and claims the messages of those that can. What a
/// manifest can tell alone is checked when it is read.
pub struct Tables;

/// Why a component is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Refusal {
    #[error("`{0}` is too long for a topic; name a shorter one with `dead-letter`")]
    DeadLetter(String),
}

impl Check for Tables {
    fn claims(&self, blueprint: &Blueprint) -> anyhow::Result<Vec<Claim>> {
        let tables: Vec<Table> = of(blueprint, blueprint.manifest.name.as_str().into()).collect();
        tables.iter().try_for_each(sound)?;
        Ok(tables.iter().flat_map(Table::claims).collect())
    }
}

/// Whether its messages have somewhere to go when they fail.
fn sound(table: &Table) -> Result<(), Refusal> {
    let mut letters = table.consume.topics.iter().map(|topic| table.dead_letter(topic));
    letters.try_for_each(|name| match name.len() > MAX_NAME {
        true => Err(Refusal::DeadLetter(name)),
        false => Ok(()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn table(plugin: &str, toml: &str) -> Table {
        Table::new(plugin.into(), toml::from_str(toml).unwrap())
    }

    #[test]
    fn the_group_is_the_plugin_and_the_dead_letter_topic_names_both() {
        let table = table("counters", r#"topics = ["events"]"#);
        assert_eq!(&*table.group, "counters");
        assert_eq!(table.dead_letter("events"), "events.dead.counters");
    }

    #[test]
    fn a_member_is_kept_over_a_change_of_batch_size_but_not_of_delivery() {
        let before = table("a", r#"topics = ["x", "y"]"#);
        let same = table("a", "topics = [\"y\", \"x\"]\nbatch = { max-messages = 7 }");
        let other = table("a", "topics = [\"x\", \"y\"]\ndelivery = \"exactly-once-topics\"");
        assert_eq!(before.key(), same.key());
        assert_ne!(before.key(), other.key());
    }

    #[test]
    fn a_dead_letter_topic_that_cannot_be_is_refused() {
        let topic = "x".repeat(245);
        let refusal = sound(&table("a", &format!("topics = [\"{topic}\"]"))).unwrap_err();
        assert_eq!(refusal, Refusal::DeadLetter(format!("{topic}.dead.a")));
        let named = format!("topics = [\"{topic}\"]\ndead-letter = \"dead\"");
        assert_eq!(sound(&table("a", &named)), Ok(()));
    }

    #[test]
    fn two_plugins_may_share_a_topic_but_not_within_one_group() {
        let things = |plugin, toml| -> Vec<String> {
            table(plugin, toml).claims().map(|claim| claim.thing).collect()
        };
        let mine = things("a", "topics = [\"x\", \"y\"]\ngroup = \"g\"");
        assert!(!mine.contains(&things("b", r#"topics = ["x"]"#)[0]));
        assert!(mine.contains(&things("b", "topics = [\"y\"]\ngroup = \"g\"")[0]));
    }
}
