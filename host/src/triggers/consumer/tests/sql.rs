//! Offsets in a real database.

use std::{path::Path, sync::Arc};

use super::super::{delivery::store, handler::Fault};
use crate::{
    backends::{
        Backends,
        blobs::files,
        cache::embedded as cache,
        channels,
        keyvalue::embedded as keyvalue,
        log::{Partition, embedded as log},
        sql::sqlite,
    },
    capabilities::{self, Capability, Plugin, sql::Sql},
};

/// A store's part of a database in `directory`.
async fn open(directory: &Path) -> capabilities::sql::Instance {
    let log = log::Embedded::open(Default::default(), &directory.join("log")).await.unwrap();
    let backends = Backends {
        channels: Arc::new(channels::Hub::new(channels::Settings::default())),
        log: Arc::new(log),
        sql: Arc::new(sqlite::Sqlite::open(Default::default(), &directory.join("sql")).unwrap()),
        keyvalue: Arc::new(keyvalue::Embedded::open(&directory.join("keyvalue")).unwrap()),
        cache: Arc::new(cache::Embedded::new(&Default::default())),
        blobs: Arc::new(files::Files::open(&directory.join("blobs"), 0).unwrap()),
        world: Default::default(),
    };
    let sql = Sql::open(Default::default(), &backends).await.unwrap();
    let plugin = Plugin { name: "counters".into(), generation: 1, config: Default::default() };
    let prepared = sql.prepare(&plugin, &Default::default()).await.unwrap();
    Sql::instance(&Arc::new(prepared))
}

#[tokio::test]
async fn an_offset_is_stored_once_and_tells_a_late_member_where_to_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut database = open(directory.path()).await;
    let partition = Partition { topic: "in".into(), partition: 0 };
    database.begin_batch();
    store(&mut database, "g", &partition, 0, 10).await.unwrap();

    // The same batch once more is done already; nothing of it is kept.
    database.begin_batch();
    store(&mut database, "g", &partition, 0, 10).await.unwrap();

    // A member that was late gets to know the place.
    database.begin_batch();
    let moved = store(&mut database, "g", &partition, 4, 7).await;
    assert!(matches!(moved, Err(Fault::Moved(10))), "{moved:?}");

    database.begin_batch();
    store(&mut database, "g", &partition, 12, 13).await.unwrap();
    assert_eq!(database.offset("g", "in", 0).await.unwrap(), Some(13));
}
