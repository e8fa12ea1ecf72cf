//! The store with a directory of its own.

use super::*;

fn open(dir: &Path, keep: usize) -> Versions {
    Versions::open(dir.to_owned(), Settings { keep, ..Settings::default() }).unwrap()
}

fn parcel(bytes: &'static str, sidecar: Option<&str>) -> Parcel {
    Parcel {
        component: blake3::hash(bytes.as_bytes()),
        bytes: bytes.into(),
        sidecar: sidecar.map(str::to_owned),
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir.join("components")).unwrap().count()
}

#[test]
fn versions_are_kept_over_a_restart_with_their_sidecars() {
    let dir = tempfile::tempdir().unwrap();
    let versions = open(dir.path(), 5);
    let (one, two) = (parcel("one", None), parcel("one", Some("name = \"a\"")));
    for parcel in [&one, &two] {
        assert!(versions.keep("a", parcel, Some("1.0"), Arrival::Dropped).unwrap().is_empty());
    }
    assert_eq!(files(dir.path()), 1, "they have one component");
    let before = versions.of("a");
    drop(versions);
    fs::write(dir.path().join("components/.new-left"), "behind").unwrap();
    let versions = open(dir.path(), 5);
    assert_eq!((versions.of("a"), files(dir.path())), (before.clone(), 1));
    assert_eq!(before.versions[0].digest, one.component.to_string());
    assert_ne!(before.versions[1].digest, one.component.to_string());
    assert_eq!(before.served(), before.versions.last());
    let again = versions.parcel(&before.versions[1]).unwrap();
    assert_eq!((&again.bytes[..], again.sidecar), (&b"one"[..], two.sidecar));
}

#[test]
fn what_is_kept_no_longer_is_removed_unless_another_plugin_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let versions = open(dir.path(), 2);
    let keep = |plugin: &str, bytes: &'static str| {
        versions.keep(plugin, &parcel(bytes, None), None, Arrival::Dropped).unwrap()
    };
    assert!(keep("b", "one").is_empty());
    for bytes in ["one", "two", "three"] {
        assert!(keep("a", bytes).is_empty(), "{bytes}");
    }
    assert_eq!(keep("a", "four"), [blake3::hash(b"two")]);
    assert_eq!((files(dir.path()), versions.components().len()), (3, 3));
}

#[test]
fn a_component_that_is_broken_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let versions = open(dir.path(), 5);
    versions.keep("a", &parcel("one", None), None, Arrival::Dropped).unwrap();
    let kept = versions.of("a").versions.remove(0);
    fs::write(versions.path(&kept), "eno").unwrap();
    assert!(versions.parcel(&kept).unwrap_err().to_string().ends_with("it is broken"));
}

#[test]
fn an_index_that_is_broken_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), 5).keep("a", &parcel("one", None), None, Arrival::Dropped).unwrap();
    fs::write(dir.path().join("plugins/a.json"), "{").unwrap();
    assert_eq!(open(dir.path(), 5).of("a"), Index::default());
}

#[test]
fn a_plugin_is_forgotten_long_after_its_file_has_gone() {
    let dir = tempfile::tempdir().unwrap();
    let versions = open(dir.path(), 5);
    for (plugin, bytes) in [("old", "one"), ("there", "two"), ("young", "three")] {
        versions.keep(plugin, &parcel(bytes, None), None, Arrival::Dropped).unwrap();
    }
    for plugin in ["old", "there"] {
        versions.all().get_mut(plugin).unwrap().changed_ms = 1;
    }
    versions.forget_absent(&["there".to_owned()].into()).unwrap();
    assert!(versions.of("old").versions.is_empty());
    assert_eq!((versions.of("there").versions.len(), versions.of("young").versions.len()), (1, 1));
    assert_eq!((files(dir.path()), open(dir.path(), 5).of("old")), (2, Index::default()));
}
