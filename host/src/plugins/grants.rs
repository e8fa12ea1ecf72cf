//! What the operator allows: checked against what a manifest asks for and what a component
//! imports, before any of its code runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    capabilities::{self, Needs},
    manifest::Manifest,
};

/// `[grants]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grants {
    /// For plugins that `plugins` does not name.
    pub default: DefaultGrant,
    /// By name: what each may use, in the shape of `[needs]`.
    pub plugins: BTreeMap<String, Needs>,
}

/// What a plugin gets that is not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefaultGrant {
    /// Nothing.
    #[default]
    Nothing,
    /// Whatever its manifest needs: for a directory whose plugins are all one's own.
    Needs,
}

/// Why a plugin may not run with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It imports an interface of a capability that its manifest does not need.
    #[error(
        "plugin `{plugin}` imports `{interface}` without a need\nhint: add `[needs.{capability}]` to its plugin.toml"
    )]
    NotNeeded {
        /// The plugin.
        plugin: String,
        /// The interface it imports.
        interface: String,
        /// The capability that offers it.
        capability: &'static str,
    },
    /// It needs more than the operator allows.
    #[error(
        "plugin `{plugin}` needs `{capability}` without a grant{beyond}\nhint: add `{grant}` to `[grants.plugins.{plugin}]` in the settings, or start with `--grant-needs`"
    )]
    NotGranted {
        /// The plugin.
        plugin: String,
        /// The capability.
        capability: &'static str,
        /// What is missing of a grant that is there, after a colon.
        beyond: String,
        /// The grant that it takes.
        grant: String,
    },
    /// It imports something this host does not have.
    #[error(
        "plugin `{plugin}` imports `{interface}`, which this host does not offer\nhint: {hint}"
    )]
    Unknown {
        /// The plugin.
        plugin: String,
        /// The interface.
        interface: String,
        /// What it may have meant.
        hint: String,
    },
}

impl Grants {
    /// What a plugin with these needs may use.
    pub fn of(&self, plugin: &str, needs: &Needs) -> Needs {
        match (self.plugins.get(plugin), self.default) {
            (Some(grant), _) => grant.clone(),
            (None, DefaultGrant::Needs) => needs.clone(),
            (None, DefaultGrant::Nothing) => Needs::default(),
        }
    }

    /// Whether a plugin may have all that it imports and needs.
    pub fn check(&self, manifest: &Manifest, imports: &[String]) -> Result<(), Refusal> {
        self.refusals(manifest, imports).next().map_or(Ok(()), Err)
    }

    /// Every reason why it may not.
    pub fn refusals<'a>(
        &self,
        manifest: &'a Manifest,
        imports: &'a [String],
    ) -> impl Iterator<Item = Refusal> + use<'a> {
        let allowed = self.of(&manifest.name, &manifest.needs);
        let mut missing: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (capability, what) in manifest.needs.beyond(&allowed) {
            missing.entry(capability).or_default().extend(Some(what).filter(|w| !w.is_empty()));
        }
        let beyond = missing.into_iter().map(|(capability, what)| Refusal::NotGranted {
            plugin: manifest.name.clone(),
            capability,
            beyond: if what.is_empty() { String::new() } else { format!(": {}", what.join(", ")) },
            grant: grant(manifest, capability),
        });
        imports.iter().filter_map(|import| check_import(manifest, import).err()).chain(beyond)
    }
}

/// What an operator must grant a plugin with this manifest, each as a line of
/// `[grants.plugins.NAME]`.
pub fn wanted(manifest: &Manifest) -> Vec<String> {
    let mut wanted = manifest.needs.beyond(&Needs::default());
    wanted.dedup_by_key(|(capability, _)| *capability);
    wanted.into_iter().map(|(capability, _)| grant(manifest, capability)).collect()
}

/// What a manifest asks for of a capability, as the operator would grant it.
fn grant(manifest: &Manifest, capability: &str) -> String {
    /// A need that is longer carries what a grant need not: the texts of migrations.
    const LONGEST: usize = 300;
    let needs = toml::Table::try_from(&manifest.needs).unwrap_or_default();
    let need = needs.get(capability).map(ToString::to_string);
    let need = need.filter(|need| need.len() <= LONGEST).unwrap_or_else(|| "{}".to_owned());
    format!("{capability} = {need}")
}

fn check_import(manifest: &Manifest, import: &str) -> Result<(), Refusal> {
    let plugin = || manifest.name.clone();
    let offer = capabilities::interfaces().find(|(name, _, _)| compatible(name, import));
    match offer {
        Some((_, capability, true)) if !manifest.needs.has(capability) => {
            Err(Refusal::NotNeeded { plugin: plugin(), interface: import.to_owned(), capability })
        }
        Some(_) => Ok(()),
        // The linker knows exactly which of WASI it has.
        None if import.starts_with("wasi:") => Ok(()),
        // Records that other interfaces of an offered package use: nothing that could be called.
        None if is_types_of_an_offered_package(import) => Ok(()),
        None => {
            let nearest = capabilities::interfaces()
                .map(|(name, _, _)| name)
                .max_by(|a, b| similarity(a, import).total_cmp(&similarity(b, import)));
            let hint = match nearest.filter(|name| similarity(name, import) > 0.8) {
                Some(name) => format!("`{name}` is offered"),
                None => "build it against the interfaces in `wit/`".to_owned(),
            };
            Err(Refusal::Unknown { plugin: plugin(), interface: import.to_owned(), hint })
        }
    }
}

/// The packages of `wit/`, whose records some of a component's own exports use.
const PACKAGES: &[&str] = &[
    "trellis:http",
    "trellis:kafka",
    "trellis:storage",
    "trellis:streaming",
    "trellis:plugin",
    "wasmcloud:messaging",
];

fn is_types_of_an_offered_package(import: &str) -> bool {
    let interface = import.split('@').next().unwrap_or(import);
    interface.strip_suffix("/types").is_some_and(|package| PACKAGES.contains(&package))
}

fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

/// Whether an import is served by this offer: the same name, and for released versions the same
/// major (or, below 1.0, minor) version.
fn compatible(offered: &str, imported: &str) -> bool {
    if offered == imported {
        return true;
    }
    let (Some((name, offered)), Some((imported_name, imported))) =
        (offered.split_once('@'), imported.split_once('@'))
    else {
        return false;
    };
    name == imported_name && track(offered).is_some() && track(offered) == track(imported)
}

/// The part of a version that must be equal; prereleases match by nothing but themselves.
fn track(version: &str) -> Option<(&str, Option<&str>)> {
    if version.contains('-') {
        return None;
    }
    let mut parts = version.split('.');
    let major = parts.next()?;
    Some((major, if major == "0" { parts.next() } else { None }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        toml::from_str(text).unwrap()
    }

    fn check(grants: &str, manifest_text: &str, import: &str) -> Result<(), Refusal> {
        let grants: Grants = toml::from_str(grants).unwrap();
        grants.check(&manifest(manifest_text), &[import.to_owned()])
    }

    const PRODUCER: &str = "trellis:kafka/producer@0.1.0";
    const NEEDS_RAW: &str = "name = \"hits\"\nneeds.produce.topics = [\"raw\"]";

    #[test]
    fn an_import_takes_a_need_and_a_need_takes_a_grant() {
        let error = check("default = \"needs\"", "name = \"hits\"", PRODUCER).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin `hits` imports `trellis:kafka/producer@0.1.0` without a need\n\
             hint: add `[needs.produce]` to its plugin.toml"
        );
        let error = check("", NEEDS_RAW, PRODUCER).unwrap_err();
        assert!(matches!(error, Refusal::NotGranted { capability: "produce", .. }), "{error}");
        check("default = \"needs\"", NEEDS_RAW, PRODUCER).unwrap();
        check("plugins.hits.produce.topics = [\"ra*\"]", NEEDS_RAW, PRODUCER).unwrap();
        let error = check("plugins.hits.produce.topics = []", NEEDS_RAW, PRODUCER).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin `hits` needs `produce` without a grant: topics = [\"raw\"]\n\
             hint: add `produce = { topics = [\"raw\"] }` to `[grants.plugins.hits]` in the \
             settings, or start with `--grant-needs`"
        );
    }

    #[test]
    fn shared_records_take_no_need() {
        check("", "name = \"hits\"", "trellis:kafka/types@0.1.0").unwrap();
        check("", "name = \"hits\"", "trellis:http/types@0.1.0").unwrap();
        check("", "name = \"hits\"", "trellis:nothing/types@0.1.0").unwrap_err();
    }

    #[test]
    fn an_unknown_import_names_what_it_may_have_meant() {
        let error =
            check("", "name = \"hits\"", "trellis:kafka/produce@0.1.0").unwrap_err().to_string();
        assert!(error.contains("`trellis:kafka/producer@0.1.0` is offered"), "{error}");
    }

    #[test]
    fn versions_match_on_their_track_and_prereleases_only_themselves() {
        assert!(compatible("a:b/c@0.2.12", "a:b/c@0.2.0"));
        assert!(!compatible("a:b/c@0.2.0", "a:b/c@0.3.0"));
        assert!(compatible("a:b/c@1.2.0", "a:b/c@1.9.0"));
        assert!(!compatible("a:b/c@0.2.0-draft", "a:b/c@0.2.0-draft2"));
        assert!(!compatible("a:b/c@0.2.0", "a:b/d@0.2.0"));
    }
}
