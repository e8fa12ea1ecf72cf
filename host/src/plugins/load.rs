//! From a file to a generation: every check that can be made before a plugin serves.
//!
//! ```text
//! read → surface → manifest → grants → compile or map → link ─▶ Loaded
//!                                     claims reserved ─▶ topics, migrations → Generation
//! ```
//! A failure at any step is the reason that people see; nothing has changed for anybody then.

use std::{collections::HashSet, fmt::Display, fs, path::PathBuf, sync::Arc};

use anyhow::{Context, bail, ensure};

use super::{Generation, folder::Source, generation::Blueprint, grants::Grants};
use crate::{
    backends::log::{self, Log},
    capabilities::{Capabilities, Plugin},
    manifest::{self, Manifest, section},
    quantity::Bytes,
    runtime::{Code, Runtime, Settings, exports::Offered, inspect},
};

/// Makes generations.
pub struct Loader {
    /// Compiles and links.
    pub runtime: Arc<Runtime>,
    /// What plugins may import.
    pub capabilities: Arc<Capabilities>,
    /// Where the topics of a manifest are created.
    pub log: Arc<dyn Log>,
    /// What the operator allows.
    pub grants: Grants,
}

/// A component as it lies on disk.
pub struct Component {
    /// All of its file.
    pub bytes: Vec<u8>,
    /// The digest of that.
    pub digest: blake3::Hash,
    /// What it asks for.
    pub manifest: Manifest,
    /// What it imports and exports.
    pub surface: inspect::Surface,
}

/// A component that has passed its checks, with its code still mapped.
pub struct Loaded {
    /// All that is known of it.
    pub blueprint: Blueprint,
    /// Its code: dropped unless somebody needs the generation awake.
    pub code: Code,
    /// Whether it had to be compiled.
    pub compiled: bool,
}

/// A component or its sidecar was written to since it was found, so that what was read may be
/// half of something. Once it has settled it is found again.
#[derive(Debug, thiserror::Error)]
#[error("{} or its sidecar changed while it was read; wait until it is written", file.display())]
pub struct Unsettled {
    file: PathBuf,
}

impl Loader {
    /// Read, check and compile a component from disk. Nothing is made for it yet.
    pub async fn load(&self, source: &Source) -> anyhow::Result<Loaded> {
        let component = self.read(source).await?;
        self.grants.check(&component.manifest, &component.surface.imports)?;
        self.compile(component, source).await
    }

    /// Compile a component or map it from the cache, link it to all capabilities, and look
    /// whether it exports what its manifest wants started.
    pub async fn compile(&self, component: Component, source: &Source) -> anyhow::Result<Loaded> {
        let Component { bytes, digest, manifest, surface } = component;
        check_limits(&manifest, self.runtime.settings())?;
        let (code, compiled) =
            self.runtime.load(surface.dialect, &digest, bytes).await.with_context(|| at(source))?;
        let offered = code.offered();
        check_triggers(&manifest, offered)?;
        let blueprint = Blueprint { manifest, offered, digest, dialect: surface.dialect };
        Ok(Loaded { blueprint, code, compiled })
    }

    /// Make a generation of a component that was loaded, now or before: its code is in the
    /// cache. This creates its topics and applies its migrations.
    pub async fn generation(
        &self,
        blueprint: Blueprint,
        claimed: HashSet<String>,
        number: u64,
    ) -> anyhow::Result<Generation> {
        self.create_topics(&blueprint.manifest).await?;
        let plugin = Plugin {
            name: blueprint.manifest.name.as_str().into(),
            generation: number,
            config: blueprint.manifest.config.clone(),
        };
        let prepared = self.capabilities.prepare(&plugin, &blueprint.manifest.needs).await?;
        Ok(Generation::new(number, blueprint, claimed, self.runtime.clone(), prepared))
    }

    /// Read a component and its manifest, off the serving threads.
    pub async fn read(&self, source: &Source) -> anyhow::Result<Component> {
        let limit = self.runtime.settings().max_component;
        let source = source.clone();
        tokio::task::spawn_blocking(move || read(&source, limit)).await?
    }

    async fn create_topics(&self, manifest: &Manifest) -> anyhow::Result<()> {
        for (topic, settings) in &manifest.topics {
            match self.log.create(topic, settings.clone()).await {
                Ok(()) => tracing::info!(plugin = manifest.name, topic, "topic created"),
                Err(log::Error::TopicExists(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Read a component and its manifest. Whatever comes of it is nothing if they were written to.
fn read(source: &Source, limit: Bytes) -> anyhow::Result<Component> {
    let component = component(source, limit);
    ensure!(source.is_current(), Unsettled { file: source.wasm.clone() });
    component
}

fn component(source: &Source, limit: Bytes) -> anyhow::Result<Component> {
    let size = fs::metadata(&source.wasm).with_context(|| at(source))?.len();
    ensure!(
        size <= limit.0,
        "{} has {size} bytes, more than `[runtime] max-component` = {limit} allows",
        source.wasm.display()
    );
    let bytes = fs::read(&source.wasm).with_context(|| at(source))?;
    let surface = inspect::surface(&bytes).with_context(|| at(source))?;
    let manifest = manifest(&bytes, source)?;
    Ok(Component { digest: blake3::hash(&bytes), bytes, manifest, surface })
}

/// The manifest of a component: the sidecar, else what is embedded, else a default with the file's name.
fn manifest(bytes: &[u8], source: &Source) -> anyhow::Result<Manifest> {
    if let Some(sidecar) = &source.sidecar {
        return Ok(manifest::read_file(sidecar)?);
    }
    match section::find(bytes) {
        Some(text) => Ok(manifest::read_embedded(text, &at(source))?),
        None => default_manifest(source),
    }
}

fn default_manifest(source: &Source) -> anyhow::Result<Manifest> {
    let name = source.stem();
    ensure!(
        manifest::is_name(name),
        "{} has no manifest, and `{}` is no name for a plugin\nhint: rename the file to 1 to 63 of \
         `a-z`, `0-9` and `-`, starting with a letter",
        source.wasm.display().to_string().escape_debug(),
        name.escape_debug()
    );
    Ok(Manifest::default_for(name))
}

/// A manifest may not ask for more than the operator gives any plugin.
fn check_limits(manifest: &Manifest, most: &Settings) -> anyhow::Result<()> {
    fn within<T: PartialOrd + Display>(
        plugin: &str,
        key: &str,
        asked: T,
        setting: &str,
        most: T,
    ) -> anyhow::Result<()> {
        ensure!(
            asked <= most,
            "plugin `{plugin}` asks for `[limits] {key}` = {asked}, and any may have at most \
             {most}\nhint: ask for less, or raise `[runtime] {setting}`"
        );
        Ok(())
    }
    let (name, limits) = (&manifest.name, &manifest.limits);
    within(name, "memory", limits.memory, "max-memory", most.max_memory)?;
    within(name, "timeout", limits.timeout, "max-timeout", most.max_timeout)?;
    within(name, "start-timeout", limits.start_timeout, "max-timeout", most.max_timeout)?;
    within(name, "concurrency", limits.concurrency, "max-concurrency", most.max_concurrency)
}

/// What the manifest wants started must be there to start.
fn check_triggers(manifest: &Manifest, offered: Offered) -> anyhow::Result<()> {
    let name = &manifest.name;
    if offered.http.is_none() && manifest.http.is_some() {
        bail!(
            "plugin `{name}` has `[http]` in its manifest, but its component exports no HTTP \
             handler\nhint: export `trellis:http/handler`, or take `[http]` out"
        );
    }
    if offered.consumer.is_none() && !manifest.consume.is_empty() {
        bail!(
            "plugin `{name}` has `[[consume]]` in its manifest, but its component exports no \
             consumer\nhint: export `trellis:kafka/consumer`, or take `[[consume]]` out"
        );
    }
    if offered == Offered::default() {
        bail!(
            "plugin `{name}` exports nothing that this host could start\nhint: export \
             `trellis:http/handler`, `trellis:kafka/consumer` or `wasi:http/incoming-handler`"
        );
    }
    Ok(())
}

fn at(source: &Source) -> String {
    source.wasm.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    /// What is said about a component in a file of this name.
    fn refusal(file: &str, component: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file);
        fs::write(&path, component).unwrap();
        let source = Source::at(path).unwrap();
        manifest(component, &source).map(|manifest| manifest.name).unwrap_err().to_string()
    }

    #[test]
    fn a_file_name_that_is_no_name_gives_no_plugin() {
        for file in ["a\nb.wasm", "\u{1b}[31mred.wasm", "{*all}.wasm", "A.wasm", "a b.wasm"] {
            let refusal = refusal(file, EMPTY);
            assert!(refusal.contains("is no name for a plugin"), "{refusal}");
            let lines: Vec<_> = refusal.lines().collect();
            assert!(lines.len() == 2 && !refusal.contains('\u{1b}'), "{refusal:?}");
        }
    }

    #[test]
    fn what_was_read_of_files_that_changed_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, EMPTY).unwrap();
        fs::write(path.with_extension("toml"), "name = \"a\"").unwrap();
        let read = |source: &Source| read(source, Bytes(1 << 20));
        let source = Source::at(path.clone()).unwrap();
        assert_eq!(read(&source).unwrap().manifest.name, "a");
        fs::write(path.with_extension("toml"), "name = \"a").unwrap();
        assert!(read(&source).err().unwrap().is::<Unsettled>());
        let source = Source::at(path.clone()).unwrap();
        assert!(!read(&source).err().unwrap().is::<Unsettled>());
        fs::write(&path, &EMPTY[1..]).unwrap();
        assert!(read(&source).err().unwrap().is::<Unsettled>());
        fs::remove_file(&path).unwrap();
        assert!(read(&source).err().unwrap().is::<Unsettled>());
    }

    #[test]
    fn a_manifest_does_not_set_its_own_bounds() {
        let most = Settings { max_memory: Bytes(1 << 20), ..Settings::default() };
        let check = |limits: &str| {
            let text = format!("name = \"a\"\n[limits]\nmemory = 1048576\n{limits}");
            let outcome = check_limits(&manifest::read(&text, "a").unwrap(), &most);
            outcome.map_err(|error| error.to_string())
        };
        check("").unwrap();
        for (asked, setting) in [
            ("timeout = \"16m\"", "max-timeout"),
            ("start-timeout = \"16m\"", "max-timeout"),
            ("concurrency = 1001", "max-concurrency"),
        ] {
            let refusal = check(asked).unwrap_err();
            assert!(refusal.ends_with(&format!("raise `[runtime] {setting}`")), "{refusal}");
        }
        let default = check_limits(&Manifest::default_for("a"), &most).unwrap_err().to_string();
        insta::assert_snapshot!(default, @"
        plugin `a` asks for `[limits] memory` = 256MiB, and any may have at most 1MiB
        hint: ask for less, or raise `[runtime] max-memory`
        ");
    }

    #[test]
    fn an_embedded_manifest_reads_no_directory() {
        let text = "name = \"a\"\n[needs.sql]\nmigrations = \"/var/backups\"\n";
        let section = [b"\x10trellis:manifest".as_slice(), text.as_bytes()].concat();
        let head = [EMPTY, &[0, section.len() as u8]].concat();
        let refusal = refusal("a.wasm", &[head, section].concat());
        assert!(refusal.contains("cannot be in a directory, `/var/backups`"), "{refusal}");
    }

    #[test]
    fn a_sidecar_of_any_size_is_not_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, EMPTY).unwrap();
        let sidecar = fs::File::create(path.with_extension("toml")).unwrap();
        sidecar.set_len(10 << 30).unwrap();
        let refusal = manifest(EMPTY, &Source::at(path).unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("it is larger than"), "{refusal}");
    }
}
