//! From a file to a generation: every check that can be made before a plugin serves.
//!
//! ```text
//! read → surface → manifest → grants → compile or map → link ─▶ Loaded
//!                                     claims reserved ─▶ topics, migrations → Generation
//! ```
//! A failure at any step is the reason that people see; nothing has changed for anybody then.

use std::{
    collections::HashSet,
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};

use super::{
    Generation, contracts,
    folder::Source,
    generation::Blueprint,
    grants::Grants,
    versions::{self, Parcel},
};
use crate::{
    backends::log::{self, Log},
    capabilities::{Capabilities, Plugin},
    manifest::{self, Manifest, section},
    quantity::Bytes,
    runtime::{Code, Runtime, Settings, inspect},
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
    pub bytes: bytes::Bytes,
    /// The digest of that.
    pub digest: blake3::Hash,
    /// The text of its sidecar, if it has one.
    pub sidecar: Option<String>,
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
    /// What is kept of it once it serves.
    pub parcel: Parcel,
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
        self.admit(self.read(source).await?, &source.wasm).await
    }

    /// The same with a version that was kept, which was and will be again at `path`.
    pub async fn load_kept(&self, parcel: Parcel, path: &Path) -> anyhow::Result<Loaded> {
        let at = path.to_owned();
        let Parcel { bytes, sidecar, .. } = parcel;
        let parse = move || component(bytes, sidecar, &at);
        self.admit(tokio::task::spawn_blocking(parse).await??, path).await
    }

    async fn admit(&self, component: Component, path: &Path) -> anyhow::Result<Loaded> {
        self.grants.check(&component.manifest, &component.surface.imports)?;
        self.compile(component, path).await
    }

    /// Compile the component of this file or map it from the cache, link it to all capabilities,
    /// and look whether it exports what its manifest wants started.
    pub async fn compile(&self, component: Component, path: &Path) -> anyhow::Result<Loaded> {
        let Component { bytes, digest, sidecar, manifest, surface } = component;
        check_limits(&manifest, self.runtime.settings())?;
        let loading = self.runtime.load(surface.dialect, &digest, bytes.clone());
        let (code, compiled) = loading.await.with_context(|| path.display().to_string())?;
        let offered = code.offered();
        contracts::check(&manifest, offered)?;
        let version = versions::digest(&digest, sidecar.as_deref());
        let blueprint = Blueprint { manifest, offered, digest, version, dialect: surface.dialect };
        let parcel = Parcel { component: digest, bytes, sidecar };
        Ok(Loaded { blueprint, code, compiled, parcel })
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
    let component = from_disk(source, limit);
    ensure!(source.is_current(), Unsettled { file: source.wasm.clone() });
    component
}

fn from_disk(source: &Source, limit: Bytes) -> anyhow::Result<Component> {
    let path = &source.wasm;
    let at = || path.display().to_string();
    let size = fs::metadata(path).with_context(at)?.len();
    ensure!(
        size <= limit.0,
        "{} has {size} bytes, more than `[runtime] max-component` = {limit} allows",
        path.display()
    );
    let bytes = fs::read(path).with_context(at)?;
    let sidecar = source.sidecar.as_deref().map(manifest::read_text).transpose()?;
    component(bytes.into(), sidecar, path)
}

/// What the bytes and the sidecar of a component at `path` amount to.
fn component(
    bytes: bytes::Bytes,
    sidecar: Option<String>,
    path: &Path,
) -> anyhow::Result<Component> {
    let surface = inspect::surface(&bytes).with_context(|| path.display().to_string())?;
    let manifest = manifest(&bytes, sidecar.as_deref(), path)?;
    Ok(Component { digest: blake3::hash(&bytes), bytes, sidecar, manifest, surface })
}

/// The manifest of a component: the sidecar, else what is embedded, else a default with the file's name.
fn manifest(bytes: &[u8], sidecar: Option<&str>, path: &Path) -> anyhow::Result<Manifest> {
    if let Some(text) = sidecar {
        return Ok(manifest::read_sidecar(text, &path.with_extension("toml"))?);
    }
    match section::find(bytes) {
        Some(text) => Ok(manifest::read_embedded(text, &path.display().to_string())?),
        None => default_manifest(path),
    }
}

fn default_manifest(path: &Path) -> anyhow::Result<Manifest> {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    ensure!(
        manifest::is_name(name),
        "{} has no manifest, and `{}` is no name for a plugin\nhint: rename the file to 1 to 63 of \
         `a-z`, `0-9` and `-`, starting with a letter",
        path.display().to_string().escape_debug(),
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
    within(name, "concurrency", limits.concurrency, "max-concurrency", most.max_concurrency)?;
    let sockets: u32 = manifest.listen.iter().map(|listen| listen.max_connections).sum();
    ensure!(
        sockets <= most.max_concurrency,
        "plugin `{name}` asks for {sockets} connections in its `[[listen]]`, each with an instance, \
         and any may have at most {} instances\nhint: ask for less, or raise `[runtime] \
         max-concurrency`",
        most.max_concurrency
    );
    Ok(())
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
        manifest(component, None, &path).map(|manifest| manifest.name).unwrap_err().to_string()
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
        let refusal = read(&Source::at(path).unwrap(), Bytes(1 << 20)).err().unwrap().to_string();
        assert!(refusal.contains("it is larger than"), "{refusal}");
    }
}
