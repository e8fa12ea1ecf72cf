#![allow(clippy::unwrap_used)]

use super::*;
use crate::backends::blobs::files::Files;

const MUCH: u64 = 1 << 30;

fn grant(containers: &[&str], max_bytes: u64) -> Grant {
    let containers = containers.iter().map(|name| (*name).to_owned()).collect();
    Grant { containers, max_bytes: quantity::Bytes(max_bytes) }
}

#[test]
fn a_need_beyond_the_grant_is_named_as_the_operator_would_write_it() {
    let need = grant(&["tracks", "covers"], 2 << 30);
    let allowed: Grant = toml::from_str("containers = [\"tracks\"]").unwrap();
    let missing = Blobs::beyond(&need, &allowed);
    assert_eq!(missing, ["containers = [\"covers\"]", "max-bytes = \"2GiB\""]);
    assert!(Blobs::beyond(&grant(&["tracks"], MUCH), &allowed).is_empty());
}

#[tokio::test]
async fn more_than_the_settings_allow_is_refused_before_anything_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(directory.path(), 1 << 20).unwrap();
    let capability = Blobs { blobs: Arc::new(files) };
    let plugin = Plugin { name: "p".into(), generation: 1, config: BTreeMap::new() };
    let refused = capability.prepare(&plugin, &grant(&["a"], 2 << 20)).await.err().unwrap();
    let text = refused.to_string();
    assert!(text.contains("asks for 2MiB; the operator allows 1MiB"), "{text}");
    assert!(capability.prepare(&plugin, &grant(&["a"], 1 << 20)).await.is_ok());
}

#[tokio::test]
async fn a_plugin_reaches_its_own_containers_only() {
    let directory = tempfile::tempdir().unwrap();
    let all = Files::open(directory.path(), MUCH).unwrap();
    let one = Prepared::new(&all, "one", &grant(&["a", "b"], MUCH)).await.unwrap();
    let two = Prepared::new(&all, "two", &grant(&["a"], MUCH)).await.unwrap();
    one.put("a", "k", "mine".into(), None).await.unwrap();
    assert_eq!(two.get("a", "k").await, Ok(None));
    let strange = Err(Error::NoContainer("b".into()));
    assert_eq!(two.get("b", "k").await, strange);
    for hostile in ["../one/a/k", "/a/k", "..", "k/../../a/k"] {
        let refused = two.get("a", hostile).await.unwrap_err();
        assert!(matches!(refused, Error::Backend(blobs::Error::Part(_))), "{hostile}: {refused}");
        assert!(two.named(&format!("a/{hostile}")).await.is_err());
    }
    for hostile in ["../one/a/k", "b/k", "/k", "../a/k"] {
        assert!(matches!(two.named(hostile).await, Err(Error::NoContainer(_))), "{hostile}");
    }
    assert!(matches!(two.named("a").await, Err(Error::NoName(_))));
    assert!(one.named("a/k").await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_too_large_to_hand_over_is_read_in_parts() {
    let directory = tempfile::tempdir().unwrap();
    let all = Files::open(directory.path(), MUCH).unwrap();
    let one = Prepared::new(&all, "one", &grant(&["a"], MUCH)).await.unwrap();
    one.put("a", "k", vec![1; MAX_WHOLE as usize].into(), None).await.unwrap();
    assert_eq!(one.get("a", "k").await.unwrap().unwrap().1.len() as u64, MAX_WHOLE);
    one.append("a", "k", "more".into()).await.unwrap();
    assert_eq!(one.get("a", "k").await, Err(Error::LargeBlob(MAX_WHOLE + 4)));
    assert_eq!(one.read("a", "k", MAX_WHOLE + 1, MAX_PART).await, Ok(Some("ore".into())));
    assert_eq!(one.read("a", "k", 0, MAX_PART + 1).await, Err(Error::LargePart(MAX_PART + 1)));
    assert_eq!(one.read("a", "none", 0, 1).await, Ok(None));
}
