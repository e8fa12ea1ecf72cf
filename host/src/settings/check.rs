//! What the settings may say, beyond having the right types.

use super::Settings;
use crate::{
    backends,
    capabilities::http as outbound,
    manifest::{
        check_rate_limit,
        problem::{Fault, Step, check_range},
    },
    nodes, observe,
    plugins::versions,
    quantity::{Bytes, Millis},
    runtime,
    triggers::{connection, http},
};

/// The shortest time that makes sense for anything that is waited for.
const MOMENT: Millis = Millis(1);
/// The longest time: a year.
const YEAR: Millis = Millis(366 * 24 * 3600 * 1000);
/// The longest that running plugins may go unobserved: deadlines have this grain.
const LONGEST_TICK: Millis = Millis(1000);
/// The shortest time between two signs of life: each is a write.
const SHORTEST_BEAT: Millis = Millis(100);
/// An empty database takes a few pages.
const SMALLEST_DATABASE: Bytes = Bytes(1 << 20);
/// A cache takes a few of the largest values.
const SMALLEST_CACHE: Bytes = Bytes(4 << 20);
/// A blob takes a few thousand bytes, however small it is.
const SMALLEST_BLOBS: Bytes = Bytes(1 << 20);
/// A head is a path and some fields.
const SMALLEST_HEAD: Bytes = Bytes(1 << 10);

/// The most that can be counted.
const MAX_PERMITS: usize = tokio::sync::Semaphore::MAX_PERMITS;

type Outcome = Result<(), Fault>;

/// Whether a host can run with these settings.
pub(super) fn check(settings: &Settings) -> Outcome {
    check_http(&settings.http)?;
    check_admin(settings.admin.token.as_deref())?;
    check_range(
        ["host", "leave-delay"].map(Step::from),
        settings.host.leave_delay,
        Millis(0)..=YEAR,
    )?;
    check_nodes(&settings.nodes)?;
    check_connections(&settings.connections)?;
    check_runtime(&settings.runtime)?;
    check_versions(&settings.versions)?;
    check_backends(&settings.backends)?;
    check_outbound(&settings.capabilities.http)?;
    settings.observe.check().map_err(|error| match &error {
        observe::Error::Traces(fault) => {
            let (key, hint) = fault.place();
            Fault::new(["observe", "traces", key].map(Step::from), error.to_string(), hint)
        }
        _ => {
            let hint = "write a level such as `info`, or `info,plugin=debug`";
            Fault::new(["observe", "log"].map(Step::from), error.to_string(), hint)
        }
    })
}

fn check_http(http: &http::Settings) -> Outcome {
    let at = |key: &str| [Step::from("http"), key.into()];
    if http.listen.is_empty() {
        let hint = "name one, as in `listen = [\"127.0.0.1:8080\"]`";
        return Err(Fault::new(at("listen"), "`listen` names no address", hint));
    }
    check_range(at("max-connections"), http.max_connections, 1..=MAX_PERMITS)?;
    check_range(at("max-header-bytes"), http.max_header_bytes, SMALLEST_HEAD..=Bytes(1 << 30))?;
    for (key, time) in [
        ("header-timeout", http.header_timeout),
        ("idle-timeout", http.idle_timeout),
        ("body-timeout", http.body_timeout),
    ] {
        check_range(at(key), time, MOMENT..=YEAR)?;
    }
    http.rate_limit.map_or(Ok(()), check_rate_limit)
}

/// An empty token would let everybody in who sends one.
fn check_admin(token: Option<&str>) -> Outcome {
    match token.map(str::trim) {
        Some("") => {
            let hint = "give it a long random text, or take the key out and the host makes one up";
            Err(Fault::new(["admin", "token"].map(Step::from), "`token` is empty", hint))
        }
        _ => Ok(()),
    }
}

fn check_nodes(nodes: &nodes::Settings) -> Outcome {
    let at = |key: &str| [Step::from("nodes"), key.into()];
    check_range(at("beat"), nodes.beat, SHORTEST_BEAT..=YEAR)?;
    check_range(at("forgotten-after"), nodes.forgotten_after, MOMENT..=YEAR)?;
    check_lost_after(at("lost-after"), nodes.lost_after, nodes.beat)
}

fn check_runtime(runtime: &runtime::Settings) -> Outcome {
    let at = |key: &str| [Step::from("runtime"), key.into()];
    check_range(at("tick"), runtime.tick, MOMENT..=LONGEST_TICK)?;
    check_range(at("compile-timeout"), runtime.compile_timeout, MOMENT..=YEAR)?;
    check_range(at("max-timeout"), runtime.max_timeout, MOMENT..=YEAR)?;
    check_range(at("max-concurrency"), runtime.max_concurrency, 1..=u32::MAX)
}

fn check_versions(versions: &versions::Settings) -> Outcome {
    let at = |key: &str| [Step::from("versions"), key.into()];
    check_range(at("keep"), versions.keep, 1..=100)?;
    check_range(at("window"), versions.window, MOMENT..=YEAR)?;
    check_range(at("min-calls"), versions.min_calls, 1..=1_000_000)?;
    check_range(at("margin"), versions.margin, 0..=100)
}

fn check_backends(backends: &backends::Settings) -> Outcome {
    let at = |table: &str, key: &str| [Step::from(table), key.into()];
    check_range(at("log", "retention-check"), backends.log.retention_check, MOMENT..=YEAR)?;
    check_range(at("log", "revoke-deadline"), backends.log.revoke_deadline, MOMENT..=YEAR)?;
    check_kafka(&backends.log)?;
    check_redis(&backends.cache)?;
    check_postgres(backends)?;
    check_range(at("sql", "readers"), backends.sql.readers, 1..=1000)?;
    check_range(
        at("sql", "max-bytes"),
        backends.sql.max_bytes,
        SMALLEST_DATABASE..=Bytes(1 << 47),
    )?;
    check_range(
        at("blobs", "max-bytes"),
        backends.blobs.max_bytes,
        SMALLEST_BLOBS..=Bytes(1 << 56),
    )?;
    check_range(
        at("cache", "max-bytes"),
        backends.cache.max_bytes,
        SMALLEST_CACHE..=Bytes(1 << 47),
    )?;
    check_channels(&backends.channels)
}

fn check_channels(channels: &backends::channels::Settings) -> Outcome {
    let at = |key: &str| [Step::from("channels"), key.into()];
    check_range(at("channels"), channels.channels as u64, 1..=10_000_000)?;
    check_range(at("max-frames"), channels.max_frames, 1..=u32::MAX)?;
    check_range(at("max-bytes"), channels.max_bytes, Bytes(1)..=Bytes(1 << 40))?;
    if !backends::log::is_name(&channels.topic) {
        let message = format!("`{}` cannot be a topic", channels.topic);
        let hint = "use 1 to 249 letters, digits, `.`, `_` and `-`";
        return Err(Fault::new(at("topic"), message, hint));
    }
    check_range(at("partitions"), channels.partitions, 1..=backends::log::MAX_PARTITIONS)?;
    check_range(at("retention"), channels.retention, Millis(60_000)..=YEAR)?;
    check_range(at("history"), channels.history, Millis(0)..=YEAR)?;
    check_range(at("history-bytes"), channels.history_bytes, Bytes(0)..=Bytes(1 << 40))?;
    // A few of the largest frames.
    check_range(at("queue-bytes"), channels.queue_bytes, Bytes(4 << 20)..=Bytes(1 << 40))?;
    check_range(at("beat"), channels.beat, SHORTEST_BEAT..=YEAR)?;
    check_lost_after(at("lost-after"), channels.lost_after, channels.beat)
}

/// Others are lost only after more than one beat.
fn check_lost_after(at: [Step; 2], lost_after: Millis, beat: Millis) -> Outcome {
    if lost_after > beat {
        return Ok(());
    }
    let message = format!("`lost-after` is `{lost_after}`, no longer than a beat");
    Err(Fault::new(at, message, format!("let a few beats of `{beat}` pass")))
}

fn check_connections(connections: &connection::Settings) -> Outcome {
    let at = |key: &str| [Step::from("connections"), key.into()];
    check_range(at("threads"), connections.threads as u64, 0..=1000)?;
    check_range(at("ping"), connections.ping, Millis(1000)..=YEAR)?;
    check_range(at("stalled"), connections.stalled, Millis(1000)..=YEAR)
}

fn check_kafka(log: &backends::log::Settings) -> Outcome {
    let kafka = &log.kafka;
    let at = |key: &str| [Step::from("log"), "kafka".into(), key.into()];
    let lacks = |key: &str, message: &str, hint: &str| Err(Fault::new(at(key), message, hint));
    if log.backend == backends::log::Backend::Kafka && kafka.brokers.is_empty() {
        let hint = "name one, as in `brokers = [\"127.0.0.1:9092\"]`";
        return lacks("brokers", "`brokers` names no broker", hint);
    }
    if kafka.sasl.is_some() && (kafka.user.is_none() || kafka.password.is_none()) {
        return lacks("sasl", "`sasl` needs to know who comes", "add `user` and `password`");
    }
    let files = [&kafka.ca, &kafka.certificate, &kafka.key].map(Option::is_some);
    check_files(kafka.tls, files, |key, message, hint| lacks(key, message, hint))?;
    check_range(at("replication"), kafka.replication.unwrap_or(1), 1..=i16::MAX as u16)?;
    check_range(at("linger"), kafka.linger, Millis(0)..=Millis(900_000))?;
    check_range(at("queue-bytes"), kafka.queue_bytes, Bytes(1 << 20)..=Bytes(1 << 31))?;
    check_range(at("prefetch-bytes"), kafka.prefetch_bytes, Bytes(1 << 10)..=Bytes(1 << 30))?;
    let hour = Millis(3_600_000);
    check_range(at("delivery-timeout"), kafka.delivery_timeout, Millis(1000)..=hour)?;
    check_range(at("session-timeout"), kafka.session_timeout, Millis(1000)..=hour)?;
    check_range(at("transaction-timeout"), kafka.transaction_timeout, Millis(1000)..=hour)
}

fn check_redis(cache: &backends::cache::Settings) -> Outcome {
    let redis = &cache.redis;
    let at = |key: &str| [Step::from("cache"), "redis".into(), key.into()];
    let lacks = |key: &str, message: &str, hint: &str| Err(Fault::new(at(key), message, hint));
    if cache.backend == backends::cache::Backend::Redis && redis.address.is_none() {
        let hint = "name the server, as in `address = \"127.0.0.1:6379\"`";
        return lacks("address", "`address` names no server", hint);
    }
    if redis.ca.is_some() && !redis.tls {
        let message = "`ca` is of no use without encryption";
        return lacks("ca", message, "add `tls = true`, or take it out");
    }
    if redis.user.is_some() && redis.password.is_none() {
        return lacks("user", "`user` needs a password", "add `password`, or take it out");
    }
    let sound = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if redis.prefix.is_empty() || !redis.prefix.chars().all(sound) {
        let message = format!("`prefix` cannot be `{}`", redis.prefix);
        return lacks("prefix", &message, "write letters, digits, `-`, `_` and `.`");
    }
    let minute = Millis(60_000);
    check_range(at("connect-timeout"), redis.connect_timeout, MOMENT..=minute)?;
    check_range(at("timeout"), redis.timeout, MOMENT..=minute)
}

/// The files of an encrypted connection: the authority's, the host's certificate, its key.
fn check_files(
    tls: bool,
    [ca, certificate, key]: [bool; 3],
    lacks: impl Fn(&str, &str, &str) -> Outcome,
) -> Outcome {
    if certificate != key {
        let found = if key { "key" } else { "certificate" };
        let message = "`certificate` and `key` go together";
        return lacks(found, message, "add the other one, or take both out");
    }
    for (name, there) in [("ca", ca), ("certificate", certificate)] {
        if there && !tls {
            let message = format!("`{name}` is of no use without encryption");
            return lacks(name, &message, "add `tls = true`, or take it out");
        }
    }
    Ok(())
}

fn check_postgres(backends: &backends::Settings) -> Outcome {
    let postgres = &backends.postgres;
    let at = |key: &str| [Step::from("postgres"), key.into()];
    let lacks = |key: &str, message: &str, hint: &str| Err(Fault::new(at(key), message, hint));
    if backends.need_postgres() && postgres.host.is_none() {
        let hint = "name one, as in `host = \"127.0.0.1\"`";
        return lacks("host", "`host` names no server", hint);
    }
    let replica = postgres.replica.as_deref().map(|replica| replica.rsplit_once(':'));
    if let Some(None) = replica.map(|parts| parts?.1.parse::<u16>().ok()) {
        let message = "`replica` is no server's address";
        return lacks("replica", message, "write it as `\"host:port\"`");
    }
    let files = [&postgres.ca, &postgres.certificate, &postgres.key].map(Option::is_some);
    check_files(postgres.tls, files, |key, message, hint| lacks(key, message, hint))?;
    check_range(at("port"), postgres.port, 1..=u16::MAX)?;
    check_range(at("connections"), postgres.connections, 1..=10_000)?;
    check_range(at("plugin-connections"), postgres.plugin_connections, 1..=10_000)?;
    check_range(at("own-connections"), postgres.own_connections, 1..=10_000)?;
    let hour = Millis(3_600_000);
    check_range(at("connect-timeout"), postgres.connect_timeout, Millis(100)..=hour)?;
    check_range(at("statement-timeout"), postgres.statement_timeout, Millis(100)..=hour)
}

fn check_outbound(outbound: &outbound::Settings) -> Outcome {
    let at = |key: &str| [Step::from("outbound"), key.into()];
    for (key, time) in [
        ("connect-timeout", outbound.connect_timeout),
        ("first-byte-timeout", outbound.first_byte_timeout),
        ("between-bytes-timeout", outbound.between_bytes_timeout),
    ] {
        check_range(at(key), time, MOMENT..=YEAR)?;
    }
    check_range(at("concurrency"), outbound.concurrency, 1..=MAX_PERMITS)
}
