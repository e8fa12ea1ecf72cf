//! What a manifest may say, beyond having the right types.

use std::ops::RangeInclusive;

use super::{
    Consume, Delivery, Manifest, RateLimit,
    problem::{self, Fault, Step},
    route::Pattern,
};
use crate::backends::{
    blobs::Container,
    log::{self, TopicSettings},
};

/// The largest batch in records.
const MAX_MESSAGES: u64 = 10_000;
/// The most brokers that may keep a record: what Kafka counts with.
const MAX_REPLICATION: u64 = i16::MAX as u64;
/// The smallest memory limit: less than a page cannot hold any program.
const MIN_MEMORY: u64 = 64 << 10;
/// The most instances of a plugin, and calls that wait for one.
const MAX_CALLS: u64 = 100_000;
/// The largest message that a manifest may let a client send.
const MAX_MESSAGE: u64 = 16 << 20;
/// The most calls for events of connections at a time.
const MAX_LANES: u64 = 1000;
/// The most that a manifest may let wait for one connection.
const MAX_WAITING: u64 = 64 << 20;
/// The most connections of one listener: each has an instance.
const MAX_CONNECTIONS: u64 = 10_000;
/// The time between two runs of a schedule, in milliseconds: up to a day.
const EVERY: RangeInclusive<u64> = 50..=24 * 3600 * 1000;
/// The most requests of one client, in a second and at once.
const MAX_RATE: u64 = 1_000_000;
/// The longest time in milliseconds: a year.
const MAX_TIME: u64 = 366 * 24 * 3600 * 1000;
/// The largest number that TOML can write.
const MAX_NUMBER: u64 = i64::MAX as u64;

type Outcome = Result<(), Fault>;

/// Whether the host accepts this manifest.
pub fn check(manifest: &Manifest) -> Outcome {
    check_name(&manifest.name)?;
    check_routes(manifest)?;
    check_connect(manifest)?;
    check_channels(manifest)?;
    check_blobs(manifest)?;
    check_keyvalue(manifest)?;
    if let Some(limit) = manifest.http.as_ref().and_then(|http| http.rate_limit) {
        check_rate_limit(limit)?;
    }
    check_listeners(manifest)?;
    check_schedules(manifest)?;
    check_consumers(manifest)?;
    check_produce(manifest)?;
    check_limits(manifest)?;
    manifest.topics.iter().try_for_each(|(name, settings)| check_topic(name, settings))
}

/// Whether a plugin may be called this.
pub fn is_name(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(ok)
}

fn check_name(name: &str) -> Outcome {
    if is_name(name) {
        return Ok(());
    }
    let hint = "use 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter";
    Err(Fault::new(["name".into()], format!("`{name}` is no name for a plugin"), hint))
}

fn check_routes(manifest: &Manifest) -> Outcome {
    let http = manifest.http.as_ref().map(|http| ("http", &http.routes));
    let connect = manifest.connect.as_ref().map(|connect| ("connect", &connect.routes));
    let mut shapes: Vec<(String, &String)> = Vec::new();
    for (table, routes) in [http, connect].into_iter().flatten() {
        if routes.is_empty() {
            let hint = format!("add `routes = [\"/{}/{{*path}}\"]`", manifest.name);
            let message = format!("`[{table}]` names no routes");
            return Err(Fault::new([table.into()], message, hint));
        }
        for (index, route) in routes.iter().enumerate() {
            let at = || [Step::from(table), "routes".into(), index.into()];
            let pattern = Pattern::parse(route).map_err(|error| {
                let hint = "a route is `[host]/path` with `{name}` and a last `{*name}`";
                Fault::new(at(), error.to_string(), hint)
            })?;
            let shape = pattern.shape();
            if let Some((_, earlier)) = shapes.iter().find(|(earlier, _)| *earlier == shape) {
                let message = format!("route `{route}` matches the same requests as `{earlier}`");
                return Err(Fault::new(at(), message, "keep one of them"));
            }
            shapes.push((shape, route));
        }
    }
    Ok(())
}

fn check_connect(manifest: &Manifest) -> Outcome {
    let Some(connect) = &manifest.connect else { return Ok(()) };
    if manifest.needs.channels.is_none() {
        let message = "connections are answered through channels, which are not asked for";
        return Err(Fault::new(["connect".into()], message, "add `[needs.channels]`"));
    }
    let at = |key: &str| [Step::from("connect"), key.into()];
    check_range(at("max-message"), connect.max_message.0, 1..=MAX_MESSAGE)?;
    check_range(at("max-waiting"), connect.max_waiting.0, 1024..=MAX_WAITING)?;
    check_range(at("lanes"), connect.lanes, 1..=MAX_LANES)
}

fn check_channels(manifest: &Manifest) -> Outcome {
    let Some(channels) = &manifest.needs.channels else { return Ok(()) };
    for (name, rule) in &channels.0 {
        let at = || [Step::from("needs"), "channels".into(), name.as_str().into()];
        let stem = name.strip_suffix('*').unwrap_or(name);
        if name.is_empty() || name.len() > 255 || stem.contains('*') {
            let hint = "write a name of up to 255 bytes, or the beginning of names and a last `*`";
            return Err(Fault::new(at(), format!("`{name}` names no channels"), hint));
        }
        let inside =
            |key: &str| [Step::from("needs"), "channels".into(), name.as_str().into(), key.into()];
        check_range(inside("frames"), rule.frames, 1..=MAX_NUMBER)?;
        check_range(inside("bytes"), rule.bytes.0, 1..=MAX_NUMBER)?;
        check_range(inside("keep"), rule.keep.0, 0..=MAX_TIME)?;
    }
    Ok(())
}

fn check_blobs(manifest: &Manifest) -> Outcome {
    let Some(blobs) = &manifest.needs.blobs else { return Ok(()) };
    let at = |key: &str| [Step::from("needs"), "blobs".into(), key.into()];
    if blobs.containers.is_empty() {
        let hint = "name one, as in `containers = [\"files\"]`";
        return Err(Fault::new(at("containers"), "`containers` names no container", hint));
    }
    for (index, name) in blobs.containers.iter().enumerate() {
        if Container::new(name).is_err() {
            let path = [Step::from("needs"), "blobs".into(), "containers".into(), index.into()];
            let hint = "use 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter";
            return Err(Fault::new(path, format!("`{name}` is no name for a container"), hint));
        }
    }
    check_range(at("max-bytes"), blobs.max_bytes.0, 1..=MAX_NUMBER)
}

/// `open("")` means the store `default`, so one without a name could never be opened.
fn check_keyvalue(manifest: &Manifest) -> Outcome {
    let Some(keyvalue) = &manifest.needs.keyvalue else { return Ok(()) };
    for (key, names) in [("stores", &keyvalue.stores), ("shared", &keyvalue.shared)] {
        if let Some(index) = names.iter().position(String::is_empty) {
            let path = [Step::from("needs"), "keyvalue".into(), key.into(), index.into()];
            let hint = "write `default` for the store that a guest opens without a name";
            return Err(Fault::new(path, "a store has no name", hint));
        }
    }
    Ok(())
}

/// Whether a limit makes sense. It stands under `[http]` in manifests and settings alike.
pub fn check_rate_limit(limit: RateLimit) -> Outcome {
    let at = |key: &str| ["http".into(), "rate-limit".into(), key.into()];
    check_range(at("per-second"), limit.per_second, 1..=MAX_RATE)?;
    check_range(at("burst"), limit.burst, 1..=MAX_RATE)
}

fn check_listeners(manifest: &Manifest) -> Outcome {
    for (index, listen) in manifest.listen.iter().enumerate() {
        let at = |key: &str| [Step::from("listen"), index.into(), key.into()];
        check_part_name(&listen.name, at("name"))?;
        check_range(at("port"), listen.port, 1..=u16::MAX.into())?;
        check_range(at("max-connections"), listen.max_connections, 1..=MAX_CONNECTIONS)?;
        let most = listen.max_per_address.unwrap_or(1);
        check_range(at("max-per-address"), most, 1..=MAX_CONNECTIONS)?;
        check_range(at("idle"), listen.idle.0, 1000..=MAX_TIME)?;
        check_range(at("max-waiting"), listen.max_waiting.0, 1024..=MAX_WAITING)?;
        for earlier in &manifest.listen[..index] {
            if earlier.name == listen.name {
                let message = format!("two listeners are called `{}`", listen.name);
                return Err(Fault::new(at("name"), message, "give one of them another name"));
            }
            if earlier.port == listen.port {
                let message = format!("port {} is listened to twice", listen.port);
                return Err(Fault::new(at("port"), message, "give one of the two another port"));
            }
        }
    }
    Ok(())
}

fn check_schedules(manifest: &Manifest) -> Outcome {
    for (index, schedule) in manifest.schedule.iter().enumerate() {
        let at = |key: &str| [Step::from("schedule"), index.into(), key.into()];
        check_part_name(&schedule.name, at("name"))?;
        check_range(at("every"), schedule.every.0, EVERY)?;
        if manifest.schedule[..index].iter().any(|earlier| earlier.name == schedule.name) {
            let message = format!("two schedules are called `{}`", schedule.name);
            return Err(Fault::new(at("name"), message, "give one of them another name"));
        }
    }
    Ok(())
}

/// Whether a listener or a schedule may be called this.
fn check_part_name<const N: usize>(name: &str, path: [Step; N]) -> Outcome {
    if is_name(name) {
        return Ok(());
    }
    let hint = "use 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter";
    Err(Fault::new(path, format!("`{}` is no name", name.escape_debug()), hint))
}

fn check_consumers(manifest: &Manifest) -> Outcome {
    for (index, consume) in manifest.consume.iter().enumerate() {
        check_consumer(index, consume)?;
        check_delivery(index, consume, manifest)?;
        let group = |consume: &Consume| consume.group.clone().unwrap_or(manifest.name.clone());
        for earlier in manifest.consume[..index].iter().filter(|e| group(e) == group(consume)) {
            if let Some(topic) = consume.topics.iter().position(|t| earlier.topics.contains(t)) {
                let message = format!(
                    "topic `{}` is read twice by the group `{}`",
                    consume.topics[topic],
                    group(consume)
                );
                let path = ["consume".into(), index.into(), "topics".into(), topic.into()];
                return Err(Fault::new(path, message, "give one of the two a `group` of its own"));
            }
        }
    }
    Ok(())
}

/// Whether it can commit as it wants to.
fn check_delivery(index: usize, consume: &Consume, manifest: &Manifest) -> Outcome {
    let (message, hint) = match consume.delivery {
        Delivery::ExactlyOnceSql if manifest.needs.sql.is_none() => {
            ("`exactly-once-sql` commits in a database that is not asked for", "add `[needs.sql]`")
        }
        Delivery::ExactlyOnceTopics if manifest.needs.produce.is_none() => (
            "`exactly-once-topics` commits with what is sent, and nothing may be sent",
            "add `[needs.produce]`",
        ),
        _ => return Ok(()),
    };
    Err(Fault::new(["consume".into(), index.into(), "delivery".into()], message, hint))
}

fn check_consumer(index: usize, consume: &Consume) -> Outcome {
    let at = |key: &str| [Step::from("consume"), index.into(), key.into()];
    let inside =
        |table: &str, key: &str| [Step::from("consume"), index.into(), table.into(), key.into()];
    if consume.topics.is_empty() {
        let hint = "name at least one topic, as in `topics = [\"events\"]`";
        return Err(Fault::new(at("topics"), "a consumer without topics never runs", hint));
    }
    for (topic_index, topic) in consume.topics.iter().enumerate() {
        let path = ["consume".into(), index.into(), "topics".into(), topic_index.into()];
        check_topic_name("topic", topic, path)?;
    }
    if let Some(group) = &consume.group {
        check_topic_name("group", group, at("group"))?;
    }
    if let Some(topic) = &consume.dead_letter {
        check_topic_name("topic", topic, at("dead-letter"))?;
        if consume.topics.contains(topic) {
            let message = format!("dead letters would come back through topic `{topic}`");
            return Err(Fault::new(at("dead-letter"), message, "name a topic it does not read"));
        }
    }
    let messages = consume.batch.max_messages;
    check_range(inside("batch", "max-messages"), messages, 1..=MAX_MESSAGES)?;
    check_range(inside("batch", "max-bytes"), consume.batch.max_bytes.0, 1..=1 << 30)?;
    check_range(inside("retry", "attempts"), consume.retry.attempts, 1..=MAX_NUMBER)?;
    if consume.retry.max_backoff < consume.retry.backoff {
        let message = format!(
            "`max-backoff` {} is shorter than `backoff` {}",
            consume.retry.max_backoff, consume.retry.backoff
        );
        return Err(Fault::new(
            inside("retry", "max-backoff"),
            message,
            "make it at least as long",
        ));
    }
    Ok(())
}

fn check_produce(manifest: &Manifest) -> Outcome {
    let Some(produce) = &manifest.needs.produce else { return Ok(()) };
    for (index, topic) in produce.topics.iter().enumerate() {
        let name = topic.strip_suffix('*').unwrap_or(topic);
        if topic != "*" && !log::is_name(name) {
            let path = ["needs".into(), "produce".into(), "topics".into(), index.into()];
            check_topic_name("topic", topic, path)?;
        }
    }
    Ok(())
}

fn check_limits(manifest: &Manifest) -> Outcome {
    let limits = &manifest.limits;
    let at = |key: &str| [Step::from("limits"), key.into()];
    if limits.memory.0 < MIN_MEMORY {
        let message = format!("`memory` {} is less than one page", limits.memory);
        return Err(Fault::new(
            at("memory"),
            message,
            "give at least `64KiB`; most plugins take 1MiB",
        ));
    }
    check_range(at("timeout"), limits.timeout.0, 1..=MAX_TIME)?;
    check_range(at("start-timeout"), limits.start_timeout.0, 1..=MAX_TIME)?;
    check_range(at("concurrency"), limits.concurrency, 1..=MAX_CALLS)?;
    check_range(at("queue"), limits.queue, 0..=MAX_CALLS)?;
    check_range(at("max-calls"), limits.max_calls.unwrap_or(1), 1..=MAX_NUMBER)?;
    check_range(at("max-age"), limits.max_age.map_or(1, |age| age.0), 1..=MAX_TIME)
}

fn check_topic(name: &str, settings: &TopicSettings) -> Outcome {
    check_topic_name("topic", name, ["topics".into(), name.into()])?;
    let at = |key: &str| [Step::from("topics"), name.into(), key.into()];
    check_range(at("partitions"), settings.partitions, 1..=log::MAX_PARTITIONS.into())?;
    check_range(at("replication"), settings.replication.unwrap_or(1), 1..=MAX_REPLICATION)?;
    check_range(at("max-record-bytes"), settings.max_record_bytes, 1..=log::MAX_RECORD_BYTES.into())
}

fn check_topic_name<const N: usize>(what: &str, name: &str, path: [Step; N]) -> Outcome {
    if log::is_name(name) {
        return Ok(());
    }
    let hint = "use 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`";
    Err(Fault::new(path, format!("`{name}` is no name for a {what}"), hint))
}

/// Whether a number is within its bounds; the last step of the path is its key.
fn check_range<const N: usize>(
    path: [Step; N],
    value: impl Into<u64>,
    allowed: RangeInclusive<u64>,
) -> Outcome {
    problem::check_range(path, value.into(), allowed)
}
