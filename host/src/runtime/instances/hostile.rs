//! Components written by hand that take what they can while they are instantiated.

use bytes::Bytes;

use super::*;
use crate::{
    backends::{self, Backends, keyvalue::Namespace},
    capabilities::{self, Capabilities, Dialect, Needs, Plugin},
    runtime::{Runtime, Settings, cache::Cache},
};

const MEMORY: usize = 8 << 20;
/// A page of WebAssembly.
const PAGE: usize = 64 << 10;

/// A host with one plugin.
struct House {
    backends: Backends,
    instances: Arc<Instances>,
    _dir: tempfile::TempDir,
}

impl House {
    async fn with(component: &str, needs: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let backends = Backends::open(&backends::Settings::default(), dir.path()).await.unwrap();
        let settings = capabilities::Settings::default();
        let capabilities = Capabilities::open(settings, &backends).await.unwrap();
        let cache = Cache::open(dir.path().join("cache"), 1, Duration::from_secs(60)).unwrap();
        let settings = Settings { instances: 64, ..Settings::default() };
        let runtime = Runtime::open(settings, cache).unwrap();
        let component = wat::parse_str(component).unwrap();
        let digest = blake3::hash(&component);
        let (code, _) = runtime.load(Dialect::Plain, &digest, component).await.unwrap();
        let needs: Needs = toml::from_str(needs).unwrap();
        let plugin = Plugin { name: "p".into(), generation: 1, config: Default::default() };
        let prepared = capabilities.prepare(&plugin, &needs).await.unwrap();
        let limits = Limits {
            memory: MEMORY,
            transfer: MEMORY,
            timeout: Duration::from_secs(20),
            concurrency: 4,
            queue: 1,
            reuse: true,
            max_calls: None,
            max_age: None,
        };
        let instances = Instances::new("p".into(), Arc::new(code), prepared, limits);
        Self { backends, instances, _dir: dir }
    }
}

#[tokio::test]
async fn what_the_host_keeps_for_a_plugin_counts_as_its_memory() {
    let house = House::with(include_str!("hostile/cas.wat"), "keyvalue.stores = ['default']").await;
    let store = house.backends.keyvalue.store(Namespace::Own { plugin: "p", store: "default" });
    store.set_many(vec![("key".into(), Bytes::from(vec![7; 1 << 20]))]).await.unwrap();
    let lease = house.instances.lend().await.unwrap();
    let taken = house.instances.memory();
    assert!((MEMORY / 2..=MEMORY).contains(&taken), "{taken}");
    drop(lease);
    house.instances.trim(Duration::ZERO);
    assert_eq!(house.instances.memory(), 0);
}

/// Why the component was refused.
async fn refusal(component: &str, needs: &str) -> String {
    let house = House::with(component, needs).await;
    let refusal = house.instances.lend().await.err().unwrap().to_string();
    assert_eq!(house.instances.memory(), 0, "{refusal}");
    refusal
}

#[tokio::test]
async fn resources_and_handles_come_to_an_end() {
    let fields = refusal(include_str!("hostile/fields.wat"), "").await;
    assert!(fields.contains("table"), "{fields}");
    let handles = refusal(include_str!("hostile/handles.wat"), "").await;
    assert!(handles.contains("handle"), "{handles}");
}

#[tokio::test]
async fn a_list_of_the_same_bytes_over_and_over_is_not_copied() {
    let needs = "keyvalue.stores = ['default']";
    let copies = refusal(include_str!("hostile/copies.wat"), needs).await;
    assert!(copies.contains("fuel"), "{copies}");
}

#[tokio::test]
async fn memory_that_was_not_had_does_not_count() {
    let grow = include_str!("hostile/grow.wat");
    let house = House::with(grow, "").await;
    let _lease = house.instances.lend().await.unwrap();
    assert_eq!(house.instances.memory(), 2 * PAGE);
}
