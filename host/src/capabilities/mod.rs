//! What a plugin may import: one folder a capability.
//!
//! The runtime enters here to link a component and to give each of its instances their state;
//! the manifest takes the shape of `[needs]` from here and the settings the shape of `[grants]`.
//! A capability stands on the backends and knows no trigger. Adding one is a folder, a WIT
//! file and a line in the list below.
//!
//! Three lifetimes, three methods: [`Capability::open`] once for the host,
//! [`Capability::prepare`] for each generation of each plugin, [`Capability::instance`] for each
//! store.

use std::{collections::BTreeMap, fmt::Debug, future::Future, sync::Arc};

use serde::{
    Deserialize, Serialize, Serializer,
    de::{self, DeserializeOwned, MapAccess},
    ser::SerializeMap,
};
use wasmtime::component::Linker;

use crate::{backends::Backends, world::World};

pub mod blobs;
pub mod cache;
pub mod channels;
pub mod config;
mod fixed;
pub mod geoip;
pub mod http;
pub mod keyvalue;
pub mod logging;
pub mod metrics;
pub mod otel;
pub mod produce;
pub mod sql;
mod state;

pub use state::{Call, Lender, Loan, MAX_RESOURCES, Memory, State};

/// Which engine a component runs on. An AOT file belongs to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Without the concurrency of WASI 0.3: a call costs a third of the other's.
    Plain,
    /// With it.
    Concurrent,
}

/// Something that a plugin may import.
pub trait Capability: Sized + Send + Sync + 'static {
    /// Its table in `[needs]` of a manifest and in the grants.
    const NAME: &'static str;
    /// Its table in the settings: another one only where a trigger has the same name.
    const TABLE: &'static str = Self::NAME;
    /// The interfaces it offers, with their versions: all exact names.
    const INTERFACES: &'static [&'static str];
    /// Whether a plugin reaches it only with a need and a grant. What cannot reach beyond the
    /// plugin itself (its own log lines, its own metrics) is free.
    const NEEDS_GRANT: bool = true;
    /// Where it lives: the operator decides.
    type Settings: DeserializeOwned + Serialize + Default + Clone + Debug + Send + Sync;
    /// What a plugin asks for in its manifest, and what the operator allows: the same shape.
    /// The default is the least.
    type Grant: DeserializeOwned + Serialize + Default + Clone + Debug + Send + Sync;
    /// What one generation of a plugin has of it, shared by its instances.
    type Prepared: Send + Sync + 'static;
    /// What one instance has of it, inside its store.
    type Instance: Send + 'static;

    /// Connect to what stands behind.
    fn open(
        settings: Self::Settings,
        backends: &Backends,
    ) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Add the functions of every interface of [`Self::INTERFACES`] that the engine can carry.
    fn link(linker: &mut Linker<State>, engine: Dialect) -> wasmtime::Result<()>;

    /// What `need` asks for beyond `allowed`, each as the operator would write it, or an empty
    /// text for the capability as a whole; an empty list when all is granted.
    fn beyond(need: &Self::Grant, allowed: &Self::Grant) -> Vec<String>;

    /// Get ready for a generation: open its database, apply its migrations, read its secrets.
    /// Runs before the generation goes live; an error keeps the one before.
    fn prepare(
        &self,
        plugin: &Plugin,
        grant: &Self::Grant,
    ) -> impl Future<Output = anyhow::Result<Self::Prepared>> + Send;

    /// The state of one instance. Cheap: it runs for every new store.
    fn instance(prepared: &Arc<Self::Prepared>) -> Self::Instance;

    /// A call in the store has returned: let go what lives no longer than a call. After a trap
    /// or an interrupted call the instance is dropped instead.
    fn end_call(_instance: &mut Self::Instance) {}
}

/// The settings of a capability that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// What a capability may know of the plugin it serves.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The plugin's name.
    pub name: Arc<str>,
    /// The number of the generation, from 1.
    pub generation: u64,
    /// `[config]` of the manifest: the plugin's own defaults, under the operator's.
    pub config: BTreeMap<String, String>,
}

/// Generates the typed tables over all capabilities, so that no name is looked up at run time
/// and a misspelt one is an error of the manifest: `Settings`, `Needs`, `Capabilities`,
/// `Prepared` (all of a generation) and `Instances` (all of a store).
macro_rules! capabilities {
    ($($field:ident: $capability:ty),* $(,)?) => {
        /// The settings of each capability, one table each.
        #[derive(Clone, Debug, Default)]
        pub struct Settings {
            $(#[doc = concat!("The table of `", stringify!($field), "`.")]
            pub $field: <$capability as Capability>::Settings,)*
        }

        impl Settings {
            /// The names of the tables.
            pub const TABLES: &[&str] = &[$(<$capability as Capability>::TABLE),*];

            /// Take the table of this name, one of [`Self::TABLES`], from a map whose key was
            /// read.
            pub fn read<'de, A: MapAccess<'de>>(
                &mut self,
                table: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                $(if table == <$capability as Capability>::TABLE {
                    self.$field = map.next_value()?;
                    return Ok(());
                })*
                Err(de::Error::unknown_field(table, Self::TABLES))
            }
        }

        impl Serialize for Settings {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                // A capability without settings has no table: a backend may have it.
                $(if size_of::<<$capability as Capability>::Settings>() > 0 {
                    map.serialize_entry(<$capability as Capability>::TABLE, &self.$field)?;
                })*
                map.end()
            }
        }

        /// What a plugin asks for, or what the operator allows it.
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Needs {
            $(#[doc = concat!("`", stringify!($field), "`; `None`: not needed, or not allowed.")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<<$capability as Capability>::Grant>,)*
        }

        impl Needs {
            /// What these needs ask for beyond `allowed`, as `(capability, what)`.
            pub fn beyond(&self, allowed: &Self) -> Vec<(&'static str, String)> {
                let mut beyond = Vec::new();
                $(match (&self.$field, &allowed.$field) {
                    (Some(_), None) if <$capability as Capability>::NEEDS_GRANT => {
                        beyond.push((<$capability as Capability>::NAME, String::new()));
                    }
                    (Some(need), allowed) => {
                        let allowed = allowed.clone().unwrap_or_default();
                        let missing = <$capability>::beyond(need, &allowed);
                        let name = <$capability as Capability>::NAME;
                        beyond.extend(missing.into_iter().map(|what| (name, what)));
                    }
                    (None, _) => {}
                })*
                beyond
            }

            /// Whether the table of this capability is there.
            pub fn has(&self, capability: &str) -> bool {
                $((capability == <$capability as Capability>::NAME && self.$field.is_some()) ||)* false
            }
        }

        /// Every interface on offer with the capability that offers it and whether that takes a
        /// grant.
        pub fn interfaces() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
            let lists: &[(&[&str], &str, bool)] = &[$((
                <$capability as Capability>::INTERFACES,
                <$capability as Capability>::NAME,
                <$capability as Capability>::NEEDS_GRANT,
            )),*];
            lists.iter().flat_map(|(names, capability, grant)| {
                names.iter().map(move |name| (*name, *capability, *grant))
            })
        }

        /// Every capability, open.
        pub struct Capabilities {
            world: World,
            $($field: $capability,)*
        }

        impl Capabilities {
            /// Open them all.
            pub async fn open(settings: Settings, backends: &Backends) -> anyhow::Result<Self> {
                Ok(Self {
                    world: backends.world.clone(),
                    $($field: <$capability>::open(settings.$field, backends).await?,)*
                })
            }

            /// Add every function of every capability.
            pub fn link(linker: &mut Linker<State>, engine: Dialect) -> wasmtime::Result<()> {
                $(<$capability>::link(linker, engine)?;)*
                Ok(())
            }

            /// Get all that a generation may use ready.
            pub async fn prepare(&self, plugin: &Plugin, needs: &Needs) -> anyhow::Result<Prepared> {
                Ok(Prepared {
                    world: self.world.clone(),
                    $($field: match &needs.$field {
                        Some(grant) => Some(Arc::new(self.$field.prepare(plugin, grant).await?)),
                        None if <$capability as Capability>::NEEDS_GRANT => None,
                        None => Some(Arc::new(
                            self.$field.prepare(plugin, &Default::default()).await?,
                        )),
                    },)*
                })
            }
        }

        /// What a generation has of each capability; `None` where it may not use it.
        pub struct Prepared {
            /// The world that its guests see.
            pub world: World,
            $(#[doc = concat!("`", stringify!($field), "`")]
            pub $field: Option<Arc<<$capability as Capability>::Prepared>>,)*
        }

        /// What one store has of each capability.
        pub struct Instances {
            $(#[doc = concat!("`", stringify!($field), "`")]
            pub $field: Option<<$capability as Capability>::Instance>,)*
        }

        impl Instances {
            /// The state of a new store.
            pub fn new(prepared: &Prepared) -> Self {
                Self { $($field: prepared.$field.as_ref().map(<$capability>::instance),)* }
            }

            /// A call in the store has returned.
            pub fn end_call(&mut self) {
                $(if let Some(instance) = &mut self.$field {
                    <$capability>::end_call(instance);
                })*
            }
        }
    };
}

capabilities! {
    config: config::Config,
    geoip: geoip::GeoIp,
    http: http::Http,
    logging: logging::Logging,
    metrics: metrics::Metrics,
    otel: otel::Otel,
    produce: produce::Produce,
    sql: sql::Sql,
    keyvalue: keyvalue::KeyValue,
    cache: cache::Cache,
    blobs: blobs::Blobs,
    channels: channels::Channels,
}
