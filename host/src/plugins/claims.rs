//! What only one plugin can have: its name, a route, a topic within a group.
//!
//! A plugin reserves what it claims before anything is made for it, so that whoever comes second
//! is refused before it has changed anything. It waits for what it lacks, and is named again when
//! that has become free.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Something that a plugin wants for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Equal for all that would be in conflict.
    pub thing: String,
    /// As the manifest has it, for people: ``route `/a/{x}` ``.
    pub said: String,
    /// What to do where another plugin has it.
    pub remedy: &'static str,
}

impl Claim {
    /// The claim that every plugin has.
    pub(super) fn name(name: &str) -> Self {
        Self {
            thing: format!("name {name}"),
            said: format!("name `{name}`"),
            remedy: "change `name` in one of the two manifests",
        }
    }
}

/// Another plugin has it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{said} belongs to plugin `{holder}` ({}) already; {remedy}", file.display())]
pub struct Conflict {
    said: String,
    holder: Arc<str>,
    file: PathBuf,
    remedy: &'static str,
}

/// Who has what. A plugin is known by its file.
#[derive(Default)]
pub struct Claims {
    holders: HashMap<String, Holder>,
    /// What each file holds.
    held: HashMap<PathBuf, HashSet<String>>,
    /// What each refused file lacks.
    lacking: HashMap<PathBuf, String>,
}

struct Holder {
    plugin: Arc<str>,
    file: PathBuf,
}

impl Claims {
    /// Let a file's plugin have these beside what it has; all of them or none. After a conflict
    /// the file waits for what it lacks.
    pub fn reserve(
        &mut self,
        file: &Path,
        plugin: &Arc<str>,
        claims: Vec<Claim>,
    ) -> Result<(), Conflict> {
        for Claim { thing, said, remedy } in &claims {
            if let Some(other) = self.holders.get(thing).filter(|other| other.file != file) {
                self.lacking.insert(file.to_owned(), thing.clone());
                let (holder, file) = (other.plugin.clone(), other.file.clone());
                return Err(Conflict { said: said.clone(), holder, file, remedy });
            }
        }
        let held = self.held.entry(file.to_owned()).or_default();
        for Claim { thing, .. } in claims {
            held.insert(thing.clone());
            let holder = Holder { plugin: plugin.clone(), file: file.to_owned() };
            self.holders.insert(thing, holder);
        }
        Ok(())
    }

    /// Leave a file's plugin these things and free the rest. Answers the files that waited for
    /// what is free now.
    pub fn keep(&mut self, file: &Path, things: &HashSet<String>) -> Vec<PathBuf> {
        let Some(held) = self.held.get_mut(file) else { return Vec::new() };
        let freed: HashSet<String> = held.extract_if(|thing| !things.contains(thing)).collect();
        if held.is_empty() {
            self.held.remove(file);
        }
        for thing in &freed {
            self.holders.remove(thing);
        }
        let woken = self.lacking.extract_if(|_, thing| freed.contains(thing));
        woken.map(|(file, _)| file).collect()
    }

    /// A file is tried again, or gone: it waits for nothing.
    pub fn stop_waiting(&mut self, file: &Path) {
        self.lacking.remove(file);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn claims(things: &[&str]) -> Vec<Claim> {
        let claim = |thing: &&str| Claim {
            thing: (*thing).to_owned(),
            said: format!("route `{thing}`"),
            remedy: "take another",
        };
        things.iter().map(claim).collect()
    }

    fn reserve(all: &mut Claims, file: &str, things: &[&str]) -> Result<(), Conflict> {
        all.reserve(Path::new(file), &file.into(), claims(things))
    }

    fn keep(all: &mut Claims, file: &str, things: &[&str]) -> Vec<PathBuf> {
        all.keep(Path::new(file), &things.iter().map(|&thing| thing.to_owned()).collect())
    }

    #[test]
    fn who_comes_second_is_refused_and_named_when_the_thing_is_free() {
        let mut all = Claims::default();
        reserve(&mut all, "a", &["/x", "/y"]).unwrap();
        let conflict = reserve(&mut all, "b", &["/z", "/y"]).unwrap_err().to_string();
        assert_eq!(conflict, "route `/y` belongs to plugin `a` (a) already; take another");
        // Nothing was kept of what was refused.
        reserve(&mut all, "c", &["/z"]).unwrap();
        assert!(keep(&mut all, "a", &["/y"]).is_empty());
        assert_eq!(keep(&mut all, "a", &[]), [Path::new("b")]);
        assert!(keep(&mut all, "c", &[]).is_empty());
        reserve(&mut all, "b", &["/z", "/y"]).unwrap();
    }

    #[test]
    fn a_new_version_holds_both_until_it_is_settled_which_serves() {
        let mut all = Claims::default();
        reserve(&mut all, "a", &["/old"]).unwrap();
        reserve(&mut all, "a", &["/old", "/new"]).unwrap();
        reserve(&mut all, "b", &["/new"]).unwrap_err();
        assert_eq!(keep(&mut all, "a", &["/old"]), [Path::new("b")]);
        reserve(&mut all, "b", &["/new"]).unwrap();
    }

    #[test]
    fn a_file_that_is_tried_again_waits_for_nothing() {
        let mut all = Claims::default();
        reserve(&mut all, "a", &["/x"]).unwrap();
        reserve(&mut all, "b", &["/x"]).unwrap_err();
        all.stop_waiting(Path::new("b"));
        assert!(keep(&mut all, "a", &[]).is_empty());
    }
}
