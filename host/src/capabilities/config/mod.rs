//! `config`: a plugin's settings and secrets, `wasi:config` under every name in use, and the
//! environment.
//!
//! The values of `[config]` in the manifest are the plugin's own; the operator's values for the
//! plugin win over them. Further keys and all secrets take a need and a grant. A secret is read
//! anew for each generation, is answered by `get` alone, and is on no list, the environment included.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Linker, Lower, WasmStr},
};

use super::{Capability, Dialect, Plugin, State};
use crate::{
    backends::Backends,
    secret::{Secret, Source},
};

#[cfg(test)]
mod tests;

/// `[config]`: what the operator gives to plugins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// `[config.values.<plugin>]`: keys and values.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// `[config.secrets]`: where each secret is; the grants say who may have it.
    pub secrets: BTreeMap<String, Source>,
}

/// `[needs.config]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// Keys beyond those of the manifest's own `[config]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Secrets, each by its name in `[config.secrets]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// The capability.
pub struct Config {
    settings: Settings,
}

/// What one generation may read.
#[derive(Debug)]
pub struct Prepared {
    values: BTreeMap<Arc<str>, Arc<str>>,
    secrets: BTreeMap<String, Secret>,
}

/// One store's view.
pub struct Instance {
    prepared: Arc<Prepared>,
}

/// `wasi:config/store.error`. Nothing here can fail: all is read before a generation is live.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "the interface has the error, this store does not")]
enum Error {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type Pair = (Arc<str>, Arc<str>);

impl Prepared {
    fn get(&self, key: &str) -> Option<Arc<str>> {
        match self.secrets.get(key) {
            Some(secret) => Some(secret.reveal()),
            None => self.values.get(key).cloned(),
        }
    }

    /// What the guest finds in its environment, for components that look for their settings there:
    /// the values whose keys and texts can be there.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let fits = |key: &str, value: &str| {
            !key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0')
        };
        let all = self.values.iter().map(|(key, value)| (&**key, &**value));
        all.filter(move |(key, value)| fits(key, value))
    }

    fn all(&self) -> Vec<Pair> {
        self.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Capability for Config {
    const NAME: &'static str = "config";
    const INTERFACES: &'static [&'static str] = &[
        "wasi:config/runtime@0.2.0-draft",
        "wasi:config/store@0.2.0-draft",
        "wasi:config/store@0.2.0-draft-2024-09-27",
        "wasi:config/store@0.2.0-rc.1",
    ];
    const NEEDS_GRANT: bool = false;
    type Settings = Settings;
    type Grant = Grant;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(settings: Settings, _backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self { settings })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        for interface in Self::INTERFACES {
            let mut store = linker.instance(interface)?;
            store.func_wrap("get", get)?;
            store.func_wrap("get-all", get_all)?;
        }
        Ok(())
    }

    fn beyond(need: &Grant, allowed: &Grant) -> Vec<String> {
        let missing = |kind: &str, need: &[String], allowed: &[String]| {
            let missing = need.iter().filter(|name| !allowed.contains(name));
            let missing: Vec<_> = missing.map(|name| format!("\"{name}\"")).collect();
            (!missing.is_empty()).then(|| format!("{kind} = [{}]", missing.join(", ")))
        };
        let keys = missing("keys", &need.keys, &allowed.keys);
        keys.into_iter().chain(missing("secrets", &need.secrets, &allowed.secrets)).collect()
    }

    async fn prepare(&self, plugin: &Plugin, grant: &Grant) -> anyhow::Result<Prepared> {
        let given = self.settings.values.get(&*plugin.name);
        let mut values = BTreeMap::new();
        for key in plugin.config.keys().chain(&grant.keys) {
            let value = given.and_then(|given| given.get(key)).or_else(|| plugin.config.get(key));
            if let Some(value) = value {
                values.insert(key.as_str().into(), value.as_str().into());
            }
        }
        let mut secrets = BTreeMap::new();
        for name in &grant.secrets {
            if values.contains_key(name.as_str()) {
                bail!("`{name}` is both a secret and a key: give one of them another name");
            }
            let Some(source) = self.settings.secrets.get(name) else {
                bail!(
                    "the settings do not say where the secret `{name}` is: \
                     add `[config.secrets] {name} = {{ env = \"NAME\" }}`"
                );
            };
            let secret = source.read().await.with_context(|| format!("secret `{name}`"))?;
            secrets.insert(name.clone(), secret);
        }
        Ok(Prepared { values, secrets })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone() }
    }
}

/// `get`.
fn get(
    store: StoreContextMut<'_, State>,
    (key,): (WasmStr,),
) -> wasmtime::Result<(Result<Option<Arc<str>>, Error>,)> {
    let key = key.to_str(&store)?;
    let own = store.data().own.config.as_ref();
    Ok((Ok(own.and_then(|own| own.prepared.get(&key))),))
}

/// `get-all`.
fn get_all(
    store: StoreContextMut<'_, State>,
    (): (),
) -> wasmtime::Result<(Result<Vec<Pair>, Error>,)> {
    let own = store.data().own.config.as_ref();
    Ok((Ok(own.map_or_else(Vec::new, |own| own.prepared.all())),))
}
