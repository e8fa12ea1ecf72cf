//! The plugin directory: `<name>.wasm` files, each perhaps with a sidecar `<name>.toml`.
//!
//! It is listed once; after that only the files are looked at that have changed, so that a drop
//! beside thousands of plugins costs what it costs beside none. What one file has come to says
//! nothing about another, which may be half written: each is looked at when it has settled itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::bail;

use super::changes::{Changes, Settled};

/// A directory that is watched for components.
pub struct Folder {
    dir: PathBuf,
    changes: Changes,
    /// Components and sidecars as they were when they had settled.
    settled: BTreeMap<PathBuf, Stamp>,
    /// Components as they were told.
    told: BTreeMap<PathBuf, Source>,
    /// Components that are links, or have a link for a sidecar, with what these lead to.
    links: BTreeMap<PathBuf, Vec<PathBuf>>,
}

/// Components that have come, changed, or gone, which is `None`; by file.
pub type Difference = BTreeMap<PathBuf, Option<Source>>;

/// A component on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `<name>.wasm`
    pub wasm: PathBuf,
    /// `<name>.toml`, if it is there.
    pub sidecar: Option<PathBuf>,
    stamp: (Stamp, Option<Stamp>),
}

/// Tells two states of a file apart: device, inode, size, time of change.
type Stamp = (u64, u64, u64, i64, i64);

impl Source {
    /// A component outside a watched directory.
    pub fn at(wasm: PathBuf) -> io::Result<Self> {
        let of_sidecar = stamp(&wasm.with_extension("toml")).ok();
        Ok(Self::new(stamp(&wasm)?, of_sidecar, wasm))
    }

    fn new(of_wasm: Stamp, of_sidecar: Option<Stamp>, wasm: PathBuf) -> Self {
        let sidecar = of_sidecar.map(|_| wasm.with_extension("toml"));
        Self { wasm, sidecar, stamp: (of_wasm, of_sidecar) }
    }

    /// Whether its files are still what they were. What has been read of others may be half of
    /// something.
    pub fn is_current(&self) -> bool {
        let of_sidecar = self.sidecar.as_deref().map(stamp).transpose();
        let now = stamp(&self.wasm).and_then(|of_wasm| Ok((of_wasm, of_sidecar?)));
        now.is_ok_and(|now| now == self.stamp)
    }

    /// The file's name without `.wasm`.
    pub fn stem(&self) -> &str {
        self.wasm.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no regular file"));
    }
    Ok((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

impl Folder {
    /// Watch a directory, which may be missing still. What is there must be a directory that can
    /// be read.
    pub fn open(dir: PathBuf) -> anyhow::Result<Self> {
        match fs::read_dir(&dir) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("the plugin directory `{}` is not there yet", dir.display());
            }
            Err(error) => bail!(
                "the plugin directory `{}` cannot be read: {error}\nhint: name a directory with \
                 `--plugins`, and let the host's user read it",
                dir.display()
            ),
        }
        let dir = std::path::absolute(&dir)?;
        let mut changes = Changes::new(false)?;
        changes.watch(&[dir.clone()].into());
        Ok(Self {
            dir,
            changes,
            settled: BTreeMap::new(),
            told: BTreeMap::new(),
            links: BTreeMap::new(),
        })
    }

    /// List the directory and tell what differs from what was told before. A missing directory
    /// has no components. A file that is being written counts as what it was before.
    pub fn scan(&mut self) -> io::Result<Difference> {
        let known = self.settled.keys().filter_map(|path| component_of(path));
        let mut paths: BTreeSet<PathBuf> = known.collect();
        match fs::read_dir(&self.dir) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry?.path();
                    if component_of(&path).as_ref() == Some(&path) {
                        paths.insert(path);
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(self.look_at(paths, None))
    }

    /// Wait until something in the directory, or behind a link in it, has changed, and tell what
    /// differs: perhaps nothing. Cancel safe.
    pub async fn changed(&mut self) -> io::Result<Difference> {
        if let Settled::Paths(paths) = self.changes.next().await
            && let Some(components) = self.components_of(&paths)
        {
            return Ok(self.look_at(components, Some(&paths)));
        }
        self.scan()
    }

    /// The components that these paths belong to; `None` where that cannot be told.
    fn components_of(&self, paths: &BTreeSet<PathBuf>) -> Option<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for path in paths {
            let own = component_of(path).filter(|_| path.parent() == Some(&self.dir));
            let leads_here = |(_, targets): &(&PathBuf, &Vec<PathBuf>)| targets.contains(path);
            let linked: Vec<_> = self.links.iter().filter(leads_here).map(|(c, _)| c).collect();
            // Beside links, any file may be a link on the way to a component.
            if *path == self.dir || own.is_none() && linked.is_empty() && !self.links.is_empty() {
                return None;
            }
            found.extend(linked.into_iter().cloned().chain(own));
        }
        Some(found)
    }

    /// What has become of these components, where these paths have settled, or all have.
    fn look_at(
        &mut self,
        components: BTreeSet<PathBuf>,
        paths: Option<&BTreeSet<PathBuf>>,
    ) -> Difference {
        let look = |wasm| self.look(wasm, paths);
        let difference = components.into_iter().filter_map(look).collect();
        let targets = self.links.values().flatten();
        let parents = targets.filter_map(|target| target.parent()).map(Path::to_owned);
        self.changes.watch(&parents.chain([self.dir.clone()]).collect());
        difference
    }

    /// What has become of one component, if anything has.
    fn look(
        &mut self,
        wasm: PathBuf,
        paths: Option<&BTreeSet<PathBuf>>,
    ) -> Option<(PathBuf, Option<Source>)> {
        let sidecar = wasm.with_extension("toml");
        let mut targets = Vec::new();
        let mut open = false;
        for path in [&wasm, &sidecar] {
            let target = target(path);
            let has_settled = target.is_some() || paths.is_none_or(|paths| paths.contains(path));
            if [Some(path), target.as_ref()].iter().flatten().any(|path| self.changes.is_open(path))
            {
                open = true;
            } else if has_settled {
                self.note(path);
            }
            targets.extend(target);
        }
        if targets.is_empty() {
            self.links.remove(&wasm);
        } else {
            self.links.insert(wasm.clone(), targets);
        }
        if open { None } else { self.tell(wasm, &sidecar) }
    }

    /// Note how a file has settled. One that went away meanwhile is simply not there.
    fn note(&mut self, path: &Path) {
        match stamp(path) {
            Ok(stamp) => self.settled.insert(path.to_owned(), stamp),
            Err(_) => self.settled.remove(path),
        };
    }

    fn tell(&mut self, wasm: PathBuf, sidecar: &Path) -> Option<(PathBuf, Option<Source>)> {
        let of_sidecar = self.settled.get(sidecar).copied();
        let of_wasm = self.settled.get(&wasm);
        let found = of_wasm.map(|&of_wasm| Source::new(of_wasm, of_sidecar, wasm.clone()));
        if self.told.get(&wasm) == found.as_ref() {
            return None;
        }
        match &found {
            Some(source) => self.told.insert(wasm.clone(), source.clone()),
            None => self.told.remove(&wasm),
        };
        Some((wasm, found))
    }
}

/// What a link leads to: it changes in its own directory.
fn target(path: &Path) -> Option<PathBuf> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if is_link { fs::canonicalize(path).ok() } else { None }
}

/// The component that a file is or belongs to: `*.wasm` for itself and for `*.toml`, but for
/// hidden files and editors' leftovers.
fn component_of(path: &Path) -> Option<PathBuf> {
    let hidden = path.file_name()?.to_str()?.starts_with('.');
    let known = matches!(path.extension()?.to_str()?, "wasm" | "toml");
    (known && !hidden).then(|| path.with_extension("wasm"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use super::*;

    /// Wait until a component has changed; whether it is there.
    async fn until_changed(folder: &mut Folder, path: &Path) -> Option<Source> {
        let wait = async {
            loop {
                if let Some(now) = folder.changed().await.unwrap().remove(path) {
                    return now;
                }
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap()
    }

    #[tokio::test]
    async fn a_half_written_file_counts_as_what_it_was_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        let path = dir.path().join("a.wasm");
        for size in [1, 2] {
            let mut file = fs::File::create(&path).unwrap();
            file.write_all(b"\0asm").unwrap();
            while !folder.changes.is_open(&path) {
                tokio::task::yield_now().await;
            }
            assert!(!folder.scan().unwrap().contains_key(&path), "{size}");
            file.write_all(&vec![0; size]).unwrap();
            drop(file);
            assert!(until_changed(&mut folder, &path).await.is_some());
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(until_changed(&mut folder, &path).await, None);
    }

    #[tokio::test]
    async fn what_only_has_the_name_of_a_component_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("directory.wasm")).unwrap();
        symlink(at("loop.wasm"), at("loop.wasm")).unwrap();
        symlink(at("nothing"), at("dangling.wasm")).unwrap();
        symlink("/dev/zero", at("endless.wasm")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(at("fifo.wasm")).status().unwrap();
        assert!(fifo.success());
        fs::write(at("a.wasm"), "x").unwrap();
        symlink(at("fifo.wasm"), at("a.toml")).unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        let found: Vec<_> = folder.scan().unwrap().into_values().flatten().collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].stem(), &found[0].sidecar), ("a", &None));
    }

    #[tokio::test]
    async fn what_has_settled_says_nothing_about_the_file_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        // Nobody watches, so nothing is known of a file but what the test tells.
        folder.changes.watch(&BTreeSet::new());
        let (wasm, toml) = (dir.path().join("a.wasm"), dir.path().join("a.toml"));
        let mut settle = |path: &Path| {
            folder.look(wasm.clone(), Some(&[path.to_owned()].into())).map(|(_, found)| found)
        };
        fs::write(&toml, "").unwrap();
        fs::write(&wasm, "ha").unwrap();
        assert_eq!(settle(&toml), None, "it may be half written");
        fs::write(&wasm, "half").unwrap();
        let first = settle(&wasm).unwrap().unwrap();
        assert!(first.is_current() && first.sidecar.is_some());
        fs::write(&toml, "name = \"a\"").unwrap();
        fs::write(&wasm, "ha").unwrap();
        let second = settle(&toml).unwrap().unwrap();
        assert!(!second.is_current());
        assert!(settle(&wasm).unwrap().unwrap().is_current());
        fs::remove_file(&wasm).unwrap();
        assert_eq!(settle(&wasm), Some(None));
    }

    #[tokio::test]
    async fn a_link_follows_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("v1.wasm");
        fs::write(&target, "one").unwrap();
        let link = dir.path().join("a.wasm");
        symlink(&target, &link).unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        assert_eq!(folder.scan().unwrap().len(), 1);
        fs::write(&target, "version two").unwrap();
        assert!(until_changed(&mut folder, &link).await.is_some());
    }

    #[tokio::test]
    async fn a_link_on_the_way_to_a_component_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("a.wasm"), version).unwrap();
        }
        symlink("v1", dir.path().join("current")).unwrap();
        let link = dir.path().join("a.wasm");
        symlink("current/a.wasm", &link).unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        assert_eq!(folder.scan().unwrap().len(), 1);
        symlink("v2", dir.path().join("next")).unwrap();
        fs::rename(dir.path().join("next"), dir.path().join("current")).unwrap();
        assert!(until_changed(&mut folder, &link).await.is_some());
    }

    #[tokio::test]
    async fn a_rename_over_a_file_and_a_new_sidecar_are_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        fs::write(&path, "one").unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        assert_eq!(folder.scan().unwrap().len(), 1);
        fs::write(dir.path().join(".a.tmp"), "two").unwrap();
        fs::rename(dir.path().join(".a.tmp"), &path).unwrap();
        let second = until_changed(&mut folder, &path).await.unwrap();
        assert_eq!(second.sidecar, None);
        fs::write(dir.path().join("a.toml"), "name = \"a\"").unwrap();
        let third = until_changed(&mut folder, &path).await.unwrap();
        assert_eq!(third.sidecar, Some(dir.path().join("a.toml")));
    }

    #[tokio::test]
    async fn only_what_has_changed_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.wasm"), "a").unwrap();
        let mut folder = Folder::open(dir.path().to_owned()).unwrap();
        assert_eq!(folder.scan().unwrap().len(), 1);
        assert!(folder.scan().unwrap().is_empty());
        let path = dir.path().join("b.wasm");
        fs::write(&path, "b").unwrap();
        assert!(until_changed(&mut folder, &path).await.is_some());
        fs::write(dir.path().join("notes.md"), "no component").unwrap();
        fs::create_dir(dir.path().join("c.wasm")).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(until_changed(&mut folder, &path).await, None);
        assert!(folder.scan().unwrap().is_empty());
    }
}
