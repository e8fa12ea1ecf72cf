//! `geoip`: where an address is, `trellis:plugin/geoip`, from a MaxMind database of cities.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use wasmtime::{
    StoreContextMut,
    component::{Linker, WasmList, WasmStr},
};

use super::{Capability, Dialect, Plugin, State};
use crate::backends::Backends;

mod database;
#[cfg(test)]
mod tests;

use database::{Database, Location};

const INTERFACE: &str = "trellis:plugin/geoip@0.1.0";
/// The most addresses of one call.
const MAX_MANY: usize = 100_000;

/// `[geoip]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// A database in the `.mmdb` format with cities. Without one no address is known. The file
    /// is read again when it is replaced.
    pub database: Option<PathBuf>,
}

/// The capability.
pub struct GeoIp {
    database: Option<Arc<Database>>,
}

/// The database, if the plugin may use it and there is one.
pub struct Prepared {
    database: Option<Arc<Database>>,
}

impl Prepared {
    fn locate(&self, text: &str) -> Option<Location> {
        let database = self.database.as_ref()?;
        database.locate(text.parse::<IpAddr>().ok()?)
    }
}

/// One store's view.
pub struct Instance {
    prepared: Arc<Prepared>,
}

impl Capability for GeoIp {
    const NAME: &'static str = "geoip";
    const INTERFACES: &'static [&'static str] = &[INTERFACE];
    type Settings = Settings;
    /// `geoip = true`
    type Grant = bool;
    type Prepared = Prepared;
    type Instance = Instance;

    async fn open(settings: Settings, _backends: &Backends) -> anyhow::Result<Self> {
        Ok(Self {
            database: match settings.database {
                Some(path) => Some(Database::open(path).await?),
                None => None,
            },
        })
    }

    fn link(linker: &mut Linker<State>, _engine: Dialect) -> wasmtime::Result<()> {
        let mut interface = linker.instance(INTERFACE)?;
        interface.func_wrap("lookup", lookup)?;
        interface.func_wrap("lookup-many", lookup_many)
    }

    fn beyond(need: &bool, allowed: &bool) -> Vec<String> {
        // There is nothing to name beyond the capability itself.
        if *need && !allowed { vec![String::new()] } else { Vec::new() }
    }

    async fn prepare(&self, _plugin: &Plugin, grant: &bool) -> anyhow::Result<Prepared> {
        Ok(Prepared { database: self.database.clone().filter(|_| *grant) })
    }

    fn instance(prepared: &Arc<Prepared>) -> Instance {
        Instance { prepared: prepared.clone() }
    }
}

fn prepared(store: &StoreContextMut<'_, State>) -> wasmtime::Result<Arc<Prepared>> {
    let own = store.data().own.geoip.as_ref();
    let own = own.ok_or_else(|| wasmtime::format_err!("`geoip` was not granted"))?;
    Ok(own.prepared.clone())
}

/// `lookup`.
fn lookup(
    store: StoreContextMut<'_, State>,
    (ip,): (WasmStr,),
) -> wasmtime::Result<(Option<Location>,)> {
    Ok((prepared(&store)?.locate(&ip.to_str(&store)?),))
}

/// `lookup-many`.
fn lookup_many(
    mut store: StoreContextMut<'_, State>,
    (ips,): (WasmList<WasmStr>,),
) -> wasmtime::Result<(Vec<Option<Location>>,)> {
    if ips.len() > MAX_MANY {
        wasmtime::bail!("`lookup-many` takes at most {MAX_MANY} addresses, not {}", ips.len());
    }
    let prepared = prepared(&store)?;
    let ips = ips.iter(&mut store)?.collect::<wasmtime::Result<Vec<_>>>()?;
    let locate = |ip: &WasmStr| Ok(prepared.locate(&ip.to_str(&store)?));
    Ok((ips.iter().map(locate).collect::<wasmtime::Result<_>>()?,))
}
