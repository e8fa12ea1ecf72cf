//! `keyvalue`: keys and values in named stores, `wasi:keyvalue`.
//!
//! The interface was never finished, so it is offered under the two drafts that components in the
//! wild were built for; [`draft`] and [`draft2`] hold where they differ, [`host`] the rest.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use super::{Capability, Dialect, NoSettings, Plugin, State};
use crate::backends::{
    Backends,
    keyvalue::{self, Namespace, Store},
};

mod draft;
mod draft2;
mod host;

/// The store that the empty name stands for.
const DEFAULT: &str = "default";

/// The capability: all stores.
pub struct KeyValue {
    stores: Arc<dyn keyvalue::KeyValue>,
}

/// `[needs.keyvalue]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// The plugin's own stores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// Stores that it shares with every plugin that names them here. A name in both lists is the
    /// shared store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
}

/// The stores of a generation by their names.
pub struct Prepared {
    stores: BTreeMap<String, Arc<dyn Store>>,
}

/// The stores that one store of wasmtime may open: all of the generation.
pub type Instance = Arc<Prepared>;

impl Prepared {
    fn new(stores: &dyn keyvalue::KeyValue, plugin: &str, grant: &Grant) -> Self {
        let own = grant.stores.iter().map(|store| (store, Namespace::Own { plugin, store }));
        let shared = grant.shared.iter().map(|store| (store, Namespace::Shared(store)));
        let open =
            own.chain(shared).map(|(name, namespace)| (name.clone(), stores.store(namespace)));
        Self { stores: open.collect() }
    }

    fn open(&self, name: &str) -> Result<Arc<dyn Store>, host::Error> {
        let name = if name.is_empty() { DEFAULT } else { name };
        match self.stores.get(name) {
            Some(store) => Ok(store.clone()),
            None if name.len() > 255 || name.chars().any(char::is_control) => {
                Err(host::Error::NoSuchStore)
            }
            None => Err(host::Error::AccessDenied),
        }
    }
}

impl Capability for KeyValue {
    const NAME: &'static str = "keyvalue";
    const INTERFACES: &'static [&'static str] = &[
        draft::STORE,
        draft::ATOMICS,
        draft::BATCH,
        draft2::STORE,
        draft2::ATOMICS,
        draft2::BATCH,
    ];
    type Settings = NoSettings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(_settings: NoSettings, backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { stores: backends.keyvalue.clone() })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        draft::link(linker)?;
        draft2::link(linker)
    }

    fn beyond(need: &Grant, allowed: &Grant) -> Vec<String> {
        let missing = |list: &'static str, need: &[String], allowed: &[String]| {
            let missing = need.iter().filter(|name| !allowed.contains(name));
            missing.map(|name| format!("{list} = [\"{name}\"]")).collect::<Vec<_>>()
        };
        let own = missing("stores", &need.stores, &allowed.stores);
        [own, missing("shared", &need.shared, &allowed.shared)].concat()
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        Ok(Prepared::new(&*self.stores, &plugin.name, grant))
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        prepared.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::backends::keyvalue::embedded::Embedded;

    fn grant(stores: &[&str], shared: &[&str]) -> Grant {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Grant { stores: owned(stores), shared: owned(shared) }
    }

    #[test]
    fn a_need_beyond_the_grant_is_named_as_the_operator_would_write_it() {
        let missing =
            KeyValue::beyond(&grant(&["default", "more"], &["all"]), &grant(&["default"], &[]));
        assert_eq!(missing, ["stores = [\"more\"]", "shared = [\"all\"]"]);
    }

    #[tokio::test]
    async fn a_store_is_the_plugins_own_unless_it_is_shared() {
        let directory = tempfile::tempdir().unwrap();
        let all = Embedded::open(directory.path()).unwrap();
        let grant = grant(&["default"], &["sessions"]);
        let (one, two) = (Prepared::new(&all, "one", &grant), Prepared::new(&all, "two", &grant));
        for store in ["default", "sessions"] {
            let pair = vec![("who".to_owned(), "one".into())];
            one.open(store).unwrap().set_many(pair).await.unwrap();
        }
        let who = || vec!["who".to_owned()];
        let own = two.open("").unwrap().get_many(who()).await.unwrap();
        let shared = two.open("sessions").unwrap().get_many(who()).await.unwrap();
        assert_eq!((own, shared), (vec![None], vec![Some("one".into())]));
    }

    #[test]
    fn a_store_that_was_not_granted_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let all = Embedded::open(directory.path()).unwrap();
        let prepared = Prepared::new(&all, "one", &grant(&["default"], &[]));
        assert!(matches!(prepared.open("other"), Err(host::Error::AccessDenied)));
        assert!(matches!(prepared.open("no\nstore"), Err(host::Error::NoSuchStore)));
    }
}
