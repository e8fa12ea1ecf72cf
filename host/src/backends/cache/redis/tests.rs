//! The contract on a real server, and what only Redis promises.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    io::Write,
    path::Path,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant as Clock,
};

use servers::Redis as Server;

use super::*;
use crate::{quantity::Millis, secret::Source};

const LONG: Duration = Duration::from_secs(60);

/// One server for all tests of this process that do it no harm.
fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start(None))
}

async fn started() -> &'static Server {
    tokio::task::spawn_blocking(shared).await.unwrap()
}

async fn start(dir: &Path) -> Server {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || Server::start(Some(&dir))).await.unwrap()
}

/// Settings under a prefix that nobody has used.
fn settings(server: &Server) -> Settings {
    static TESTS: AtomicU64 = AtomicU64::new(0);
    let test = TESTS.fetch_add(1, Ordering::Relaxed);
    Settings {
        address: Some(server.plain().to_owned()),
        prefix: format!("trellis:{}:{test}", std::process::id()),
        ..Settings::default()
    }
}

async fn open(settings: &Settings) -> Arc<dyn Caches> {
    Arc::new(Redis::open(settings).await.unwrap())
}

async fn fresh() -> (Arc<dyn Caches>, ()) {
    (open(&settings(started().await)).await, ())
}

crate::backends::cache::contract::contract!(fresh);

fn key() -> Key {
    Key::new("k").unwrap()
}

fn value(text: &str) -> Value {
    Value::new(text.to_owned().into(), LONG).unwrap()
}

async fn claim(cache: &Arc<dyn Cache>, lease: Duration, wait: Duration) -> Result<Claimed> {
    cache.claim(key(), Lease::new(lease).unwrap(), wait).await
}

fn waiting(cache: &Arc<dyn Cache>) -> tokio::task::JoinHandle<Result<Claimed>> {
    let cache = cache.clone();
    tokio::spawn(async move { claim(&cache, LONG, LONG).await })
}

/// Try until it works.
async fn until_ok(cache: &Arc<dyn Cache>) {
    let begun = Clock::now();
    while let Err(error) = cache.set(key(), value("again")).await {
        assert!(begun.elapsed() < LONG, "{error}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn hosts_compute_one_value_once() {
    let settings = settings(started().await);
    let (here, there) = (open(&settings).await.open("p"), open(&settings).await.open("p"));
    let Ok(Claimed::Yours(first)) = claim(&here, LONG, LONG).await else { panic!("it is free") };
    let others: Vec<_> =
        (0..20).map(|n| waiting(if n % 2 == 0 { &here } else { &there })).collect();
    assert!(matches!(claim(&there, LONG, Duration::ZERO).await, Ok(Claimed::Taken)));
    first.fill(value("computed")).await.unwrap();
    for other in others {
        let other = other.await.unwrap();
        assert!(matches!(other, Ok(Claimed::Value(value)) if value == "computed"));
    }
}

#[tokio::test]
async fn a_host_takes_over_what_another_gave_up_and_what_died_with_it() {
    let settings = settings(started().await);
    let (here, there) = (open(&settings).await.open("p"), open(&settings).await.open("p"));
    let Ok(Claimed::Yours(given_up)) = claim(&here, LONG, LONG).await else { panic!("it is free") };
    let waits = waiting(&there);
    let begun = Clock::now();
    drop(given_up);
    let Ok(Claimed::Yours(next)) = waits.await.unwrap() else { panic!("there is no value") };
    assert!(begun.elapsed() < LONG / 2, "it waited for the lease");
    drop(next);

    // A claim that nobody gives back: its host is gone.
    let place = Redis::open(&settings).await.unwrap();
    let place =
        Place { connection: place.connection, prefix: format!("{}:p", settings.prefix).into() };
    let lease = Lease::new(Duration::from_millis(200)).unwrap();
    let dead = async {
        loop {
            if let Asked::Yours = place.claim_once(&key(), "dead", lease).await.unwrap() {
                break;
            }
        }
    };
    dead.await;
    assert!(matches!(claim(&there, LONG, LONG).await, Ok(Claimed::Yours(_))));
}

#[tokio::test]
async fn a_server_that_is_killed_costs_errors_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let cache = open(&settings(&server)).await.open("p");
    let Ok(Claimed::Yours(held)) = claim(&cache, LONG, LONG).await else { panic!("it is free") };
    let waits = waiting(&cache);
    tokio::task::spawn_blocking(|| server.kill()).await.unwrap();
    let begun = Clock::now();
    for _ in 0..100 {
        assert!(matches!(cache.get(key()).await, Err(Error::Unavailable(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(matches!(held.fill(value("lost")).await, Err(Error::Unavailable(_))));
    assert!(matches!(waits.await.unwrap(), Err(Error::Unavailable(_))));

    let _server = start(dir.path()).await;
    until_ok(&cache).await;
    assert_eq!(cache.get(key()).await, Ok(Some("again".into())));
}

#[tokio::test]
async fn a_server_that_hangs_holds_no_call_longer_than_the_settings_say() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let settings = Settings { timeout: Millis(100), ..settings(&server) };
    let cache = open(&settings).await.open("p");
    cache.set(key(), value("1")).await.unwrap();
    server.hang(true);
    let begun = Clock::now();
    assert!(matches!(cache.get(key()).await, Err(Error::Unavailable(_))));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    server.hang(false);
    until_ok(&cache).await;
}

#[tokio::test]
async fn a_server_that_comes_later_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let settings = settings(&server);
    tokio::task::spawn_blocking(|| server.kill()).await.unwrap();
    let cache = open(&settings).await.open("p");
    assert!(matches!(cache.get(key()).await, Err(Error::Unavailable(_))));
    let _server = start(dir.path()).await;
    until_ok(&cache).await;
}

/// The listener with TLS, for a user with this password.
fn secure(server: &Server, password: &str) -> (Settings, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{password}").unwrap();
    let settings = Settings {
        address: Some(server.secure().to_owned()),
        tls: true,
        ca: Some(server.ca()),
        user: Some(server.user().to_owned()),
        password: Some(Source::File(file.path().to_owned())),
        ..settings(server)
    };
    (settings, file)
}

/// The server lets this user do what the reference lists and nothing else.
#[tokio::test]
async fn everything_goes_through_tls_for_a_user_with_few_rights() {
    let server = started().await;
    let (settings, _file) = secure(server, server.password());
    let cache = open(&settings).await.open("p");
    assert!(cache.add(key(), value("1")).await.unwrap());
    cache.set(key(), value("2")).await.unwrap();
    assert_eq!(cache.get(key()).await, Ok(Some("2".into())));
    cache.delete(key()).await.unwrap();
    let Ok(Claimed::Yours(given_up)) = claim(&cache, LONG, LONG).await else {
        panic!("it is free")
    };
    drop(given_up);
    let Ok(Claimed::Yours(next)) = claim(&cache, LONG, LONG).await else { panic!("it is free") };
    next.fill(value("3")).await.unwrap();

    // Beyond its part of the server the user has nothing, which plugins are told without details.
    let elsewhere = Settings { prefix: "elsewhere".into(), ..settings };
    let cache = open(&elsewhere).await.open("p");
    let refused = cache.get(key()).await;
    assert_eq!(refused, Err(Error::Unavailable("it answers `NOPERM`".into())));
}

#[tokio::test]
async fn a_wrong_password_is_told_of_at_the_start_and_not_shown() {
    let server = started().await;
    let (settings, _file) = secure(server, "hunter2");
    let told = Redis::open(&settings).await.err().expect("it is not let in").to_string();
    assert!(told.contains("does not let the host in"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_is_told_of_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let settings = settings(&server);
    let open = Redis::open(&settings).await.unwrap();
    let mut lock = cmd("CONFIG");
    lock.arg("SET").arg("requirepass").arg("hunter2");
    open.connection.ask(&lock).await.unwrap();
    let told = Redis::open(&settings).await.err().expect("it is not let in").to_string();
    assert!(told.contains("does not let the host in") && told.contains("NOAUTH"), "{told}");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_others_is_not_trusted() {
    let server = started().await;
    let (settings, _file) = secure(server, server.password());
    let cache = open(&Settings { ca: None, ..settings }).await.open("p");
    assert!(matches!(cache.get(key()).await, Err(Error::Unavailable(_))));
}

#[test]
fn an_address_is_a_host_and_a_port() {
    let split = |address: &str| connection::split(address);
    assert_eq!(split("redis:6379"), Some(("redis".into(), 6379)));
    assert_eq!(split("[::1]:6379"), Some(("::1".into(), 6379)));
    for wrong in ["", "redis", ":6379", "redis:", "::1:6379", "redis:99999"] {
        assert_eq!(split(wrong), None, "{wrong}");
    }
}
