//! Lending instances of a component that exports nothing.

use std::sync::mpsc;

use super::*;
use crate::{
    capabilities::Dialect,
    runtime::{Runtime, Settings, cache::Cache, engine::HURRY},
};

const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

async fn instances(concurrency: u32) -> Arc<Instances> {
    ticking(concurrency).await.1
}

/// The same with the runtime, which deals out turns.
async fn ticking(concurrency: u32) -> (Arc<Runtime>, Arc<Instances>) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path().to_owned(), 1, Duration::from_secs(60)).unwrap();
    let runtime = Runtime::open(Settings { instances: 64, ..Settings::default() }, cache).unwrap();
    let (code, _) = runtime.load(Dialect::Plain, &blake3::hash(EMPTY), EMPTY).await.unwrap();
    let prepared = Prepared {
        world: Default::default(),
        channels: None,
        config: None,
        geoip: None,
        http: None,
        logging: None,
        metrics: None,
        otel: None,
        produce: None,
        sql: None,
        keyvalue: None,
        cache: None,
        blobs: None,
    };
    let limits = Limits {
        memory: 1 << 20,
        transfer: 1 << 20,
        timeout: Duration::from_secs(10),
        concurrency,
        queue: 1,
        reuse: true,
        max_calls: None,
        max_age: None,
    };
    (runtime, Instances::new("p".into(), Arc::new(code), prepared, limits))
}

/// Run `test` on a runtime with one thread, which nothing may keep for itself.
fn on_one_thread<T: Send + 'static>(test: impl Future<Output = T> + Send + 'static) -> T {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = done.send(runtime.block_on(test));
    });
    ended.recv_timeout(Duration::from_secs(30)).expect("the thread was kept")
}

#[test]
fn a_hook_waits_for_its_instance_and_lets_others_run() {
    let leads = on_one_thread(async {
        let instances = instances(4).await;
        drop(instances.lend_lead(Duration::from_secs(10)).await.unwrap());
        let busy = instances.lend().await.unwrap();
        let hooks = instances.clone();
        let hook = tokio::spawn(async move { hooks.lend_lead(Duration::from_secs(10)).await });
        tokio::task::yield_now().await;
        drop(busy);
        drop(hook.await.unwrap().unwrap());
        let idle = instances.idle();
        idle.iter().map(|instance| instance.lead).collect::<Vec<_>>()
    });
    assert_eq!(leads, [true], "the one that came back");
}

#[test]
fn a_hook_gives_up_on_an_instance_that_stays_away() {
    let late = on_one_thread(async {
        let instances = instances(4).await;
        drop(instances.lend_lead(Duration::from_secs(10)).await.unwrap());
        let _busy = instances.lend().await.unwrap();
        instances.lend_lead(Duration::from_millis(20)).await.err()
    });
    assert!(matches!(late, Some(CallError::Deadline { .. })), "{late:?}");
}

#[test]
fn calls_that_had_much_are_paid_for_before_the_next_begins() {
    let (early, left, other) = on_one_thread(async {
        let ((_runtime, instances), other) = (ticking(4).await, instances(4).await);
        instances.conduct.charge(HURRY * 9);
        let early = tokio::time::timeout(HURRY, instances.lend()).await.is_ok();
        let other = other.lend().await.is_ok();
        drop(instances.lend().await.unwrap());
        (early, instances.conduct.owes(), other)
    });
    assert_eq!((early, left, other), (false, false, true));
}
