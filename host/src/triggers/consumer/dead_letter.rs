//! The record that stands for a message nobody could handle.

use std::sync::Arc;

use crate::backends::log::{Outgoing, Partition, Topic, record::Record};

/// The most bytes of the reason that are kept.
const MAX_REASON: usize = 1024;
/// Every header the host adds starts with this; those of an earlier burial are replaced.
const PREFIX: &str = "trellis-";

/// Where a message comes from and why it is given up.
pub struct Origin<'a> {
    /// Where it was read.
    pub partition: &'a Partition,
    /// The plugin that was to handle it.
    pub plugin: &'a str,
    /// The generation that took it last.
    pub generation: u64,
    /// How often it was handed over.
    pub attempts: u32,
    /// The guest's reason, or what happened to the guest.
    pub reason: &'a str,
}

/// The dead letter of a message: its key, value and headers, and `trellis-error`, `-attempts`,
/// `-topic`, `-partition`, `-offset`, `-timestamp`, `-plugin` and `-generation` as text.
///
/// Where that is more than the topic allows, the value and the headers of the message are left
/// out, and `trellis-truncated` says so: the partition must go on.
pub fn letter(topic: &Topic, record: &Record<'_>, origin: &Origin<'_>) -> Outgoing {
    let added = headers(record, origin);
    let added = || added.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
    let kept = record.tail.headers().filter(|(name, _)| !name.starts_with(PREFIX));
    let all: Vec<_> = kept.chain(added()).collect();
    let name: Arc<str> = topic.name.clone();
    let whole = Outgoing::new(name.clone(), record.tail.key(), record.tail.value(), &all);
    let limit = topic.settings.max_record_bytes as usize;
    if whole.tail.len() <= limit {
        return whole;
    }
    let mut short: Vec<_> = added().collect();
    short.push(("trellis-truncated", Some(b"true")));
    let with_key = Outgoing::new(name.clone(), record.tail.key(), None, &short);
    if with_key.tail.len() <= limit {
        return with_key;
    }
    Outgoing::new(name, None, None, &[])
}

fn headers(record: &Record<'_>, origin: &Origin<'_>) -> [(&'static str, String); 8] {
    let end = origin.reason.floor_char_boundary(MAX_REASON);
    [
        ("trellis-error", origin.reason[..end].to_owned()),
        ("trellis-attempts", origin.attempts.to_string()),
        ("trellis-topic", origin.partition.topic.to_string()),
        ("trellis-partition", origin.partition.partition.to_string()),
        ("trellis-offset", record.offset.to_string()),
        ("trellis-timestamp", record.timestamp_ms.to_string()),
        ("trellis-plugin", origin.plugin.to_owned()),
        ("trellis-generation", origin.generation.to_string()),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backends::log::{TopicSettings, record::Tail};

    fn bury(max_record_bytes: u32, reason: &str) -> Outgoing {
        let settings = TopicSettings { max_record_bytes, ..TopicSettings::default() };
        let topic = Topic { name: "dead".into(), partitions: 1, settings };
        let headers: &[(&str, Option<&[u8]>)] =
            &[("kind", Some(b"click")), ("trellis-error", Some(b"an older one"))];
        let sent = Outgoing::new("raw".into(), Some(b"k"), Some(&[7; 2000]), headers);
        let record = Record { offset: 41, timestamp_ms: 5, tail: Tail(&sent.tail) };
        let partition = Partition { topic: "raw".into(), partition: 3 };
        let origin =
            Origin { partition: &partition, plugin: "p", generation: 2, attempts: 5, reason };
        letter(&topic, &record, &origin)
    }

    fn shown(letter: &Outgoing) -> Vec<String> {
        let headers = Tail(&letter.tail).headers();
        headers
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.unwrap())))
            .collect()
    }

    #[test]
    fn a_dead_letter_is_the_message_with_its_story() {
        let letter = bury(1 << 20, "no such country");
        let tail = Tail(&letter.tail);
        assert_eq!((tail.key(), tail.value()), (Some(&b"k"[..]), Some(&[7; 2000][..])));
        insta::assert_debug_snapshot!(shown(&letter), @r#"
        [
            "kind=click",
            "trellis-error=no such country",
            "trellis-attempts=5",
            "trellis-topic=raw",
            "trellis-partition=3",
            "trellis-offset=41",
            "trellis-timestamp=5",
            "trellis-plugin=p",
            "trellis-generation=2",
        ]
        "#);
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let letter = bury(1 << 20, &format!("{}é", "x".repeat(1023)));
        assert_eq!(shown(&letter)[1], format!("trellis-error={}", "x".repeat(1023)));
    }

    #[test]
    fn a_dead_letter_too_large_for_its_topic_keeps_its_story_without_the_value() {
        let letter = bury(1000, "no");
        assert_eq!(Tail(&letter.tail).value(), None);
        assert_eq!(shown(&letter).last().unwrap(), "trellis-truncated=true");
    }
}
