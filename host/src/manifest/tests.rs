#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const FULL: &str = r#"
name = "enricher"
version = "1.2.0"
description = "adds device and place to every event"

[http]
routes = ["/enricher/{*path}", "e.example.com/{id}"]
max-body = "2MiB"
rate-limit = { per-second = 10, burst = 20 }

[connect]
routes = ["/enricher-live/{room}"]
max-message = "4KiB"

[[consume]]
topics = ["raw"]
group = "enrich"
batch = { max-messages = 500, max-wait = "2ms" }
delivery = "exactly-once-topics"
start = "latest"
retry = { attempts = 3, backoff = "50ms" }
dead-letter = "raw.dead"

[needs]
produce = { topics = ["events", "raw.*"] }

[needs.channels."rooms:*"]
frames = 10
slow = "skip-to-live"
keep = "1h"

[config]
greeting = "hello"

[limits]
memory = "64MiB"
timeout = 5000
reuse = true

[topics.events]
partitions = 8
"#;

fn explain(text: &str) -> String {
    read(text, "plugins/hits/plugin.toml").unwrap_err().explain()
}

#[test]
fn a_full_manifest_is_read() {
    let manifest = read(FULL, "plugin.toml").unwrap();
    let http = manifest.http.unwrap();
    assert_eq!(http.max_body, Bytes(2 << 20));
    assert_eq!(http.rate_limit, Some(RateLimit { per_second: 10, burst: 20 }));
    assert_eq!(manifest.consume[0].delivery, Delivery::ExactlyOnceTopics);
    assert_eq!(manifest.consume[0].retry.max_backoff, Retry::default().max_backoff);
    assert_eq!(manifest.limits.timeout, Millis(5000));
    let connect = manifest.connect.unwrap();
    assert_eq!((connect.max_message, connect.max_waiting), (Bytes(4096), Bytes(256 << 10)));
    let rule = manifest.needs.channels.unwrap().0["rooms:*"];
    assert_eq!((rule.frames, rule.bytes, rule.keep), (10, Bytes(1 << 20), Millis(3_600_000)));
    assert_eq!(manifest.topics["events"].partitions, 8);
}

#[test]
fn what_is_written_is_read_back() {
    for manifest in [read(FULL, "x").unwrap(), Manifest::default_for("plain")] {
        let text = manifest.to_toml();
        let again = read(&text, "x").unwrap();
        assert_eq!(format!("{manifest:?}"), format!("{again:?}"), "{text}");
    }
}

#[test]
fn connections_need_channels_and_routes_of_their_own() {
    let channels = "[needs.channels]\n";
    for (text, message, line) in [
        ("[connect]\nroutes = [\"/s\"]\n".to_owned(), "which are not asked for", 2),
        (format!("{channels}[connect]\nroutes = []\n"), "`[connect]` names no routes", 3),
        (
            format!(
                "{channels}[http]\nroutes = [\"/s/{{a}}\"]\n[connect]\nroutes = [\"/s/{{b}}\"]\n"
            ),
            "matches the same requests as `/s/{a}`",
            6,
        ),
        (
            format!("{channels}[connect]\nroutes = [\"/s\"]\nmax-message = \"1GiB\"\n"),
            "max-message",
            5,
        ),
        (format!("{channels}[connect]\nroutes = [\"/s\"]\nlanes = 0\n"), "lanes", 5),
        ("[needs.channels.\"a*b\"]\n".to_owned(), "`a*b` names no channels", 2),
        ("[needs.channels.a]\nframes = 0\n".to_owned(), "frames", 3),
    ] {
        let said = explain(&format!("name = \"hits\"\n{text}"));
        assert!(said.contains(message), "{said}");
        assert!(said.contains(&format!("plugin.toml:{line}:")), "{said}");
    }
}

#[test]
fn a_misspelt_key_is_pointed_at_and_the_nearest_is_named() {
    insta::assert_snapshot!(explain("name = \"hits\"\n[http]\nrotues = [\"/t\"]\n"), @r#"
    unknown key `rotues`
      --> plugins/hits/plugin.toml:3:1
       |
     3 | rotues = ["/t"]
       | ^^^^^^
    hint: did you mean `routes`?
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\n[[consume]]\ntopics = [\"a\"]\nretry = { atempts = 3 }\n"), @r#"
    unknown key `atempts`
      --> plugins/hits/plugin.toml:4:11
       |
     4 | retry = { atempts = 3 }
       |           ^^^^^^^
    hint: did you mean `attempts`?
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\n[needs.prodcue]\ntopics = []\n"), @r#"
    unknown key `prodcue`
      --> plugins/hits/plugin.toml:2:8
       |
     2 | [needs.prodcue]
       |        ^^^^^^^
    hint: did you mean `produce`?
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\nzzz = 1\n"), @r#"
    unknown key `zzz`
      --> plugins/hits/plugin.toml:2:1
       |
     2 | zzz = 1
       | ^^^
    hint: known are `name`, `version`, `description`, `http`, `connect`, `listen`, `schedule`, `consume`, `needs`, `config`, `limits`, `topics`
    "#);
}

#[test]
fn a_value_of_the_wrong_type_is_pointed_at() {
    insta::assert_snapshot!(explain("name = \"hits\"\n\n[limits]\nmemory = \"lots\"\n"), @r#"
    invalid value: string "lots", expected a size such as "64MiB"
      --> plugins/hits/plugin.toml:4:10
       |
     4 | memory = "lots"
       |          ^^^^^^
    "#);
    insta::assert_snapshot!(explain("name = 5"), @r#"
    invalid type: integer `5`, expected a string
      --> plugins/hits/plugin.toml:1:8
       |
     1 | name = 5
       |        ^
    "#);
    insta::assert_snapshot!(explain("version = \"1\""), @r#"
    the key `name` is missing
      --> plugins/hits/plugin.toml:1:1
       |
     1 | version = "1"
       | ^
    hint: add `name = ...`
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\n[[consume]]\ntopics = [\"a\"]\ndelivery = \"exactly-once\"\n"), @r#"
    unknown value `exactly-once`
      --> plugins/hits/plugin.toml:4:12
       |
     4 | delivery = "exactly-once"
       |            ^^^^^^^^^^^^^^
    hint: did you mean `exactly-once-sql`?
    "#);
}

#[test]
fn a_text_that_is_no_toml_is_pointed_at() {
    insta::assert_snapshot!(explain("name = \"hits\nversion = 1"), @r#"
    invalid basic string, expected `"`
      --> plugins/hits/plugin.toml:1:13
       |
     1 | name = "hits
       |             ^
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\nname = \"hits\"\n"), @r#"
    duplicate key
      --> plugins/hits/plugin.toml:2:1
       |
     2 | name = "hits"
       | ^^^^
    "#);
}

#[test]
fn a_value_that_is_not_allowed_is_pointed_at_with_the_remedy() {
    let with = |rest: &str| explain(&format!("name = \"hits\"\n{rest}"));
    insta::assert_snapshot!(explain("name = \"Hits!\""), @r#"
    `Hits!` is no name for a plugin
      --> plugins/hits/plugin.toml:1:8
       |
     1 | name = "Hits!"
       |        ^^^^^^^
    hint: use 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter
    "#);
    insta::assert_snapshot!(with("[http]\nroutes = []\n"), @r#"
    `[http]` names no routes
      --> plugins/hits/plugin.toml:2:1
       |
     2 | [http]
       | ^^^^^^
    hint: add `routes = ["/hits/{*path}"]`
    "#);
    insta::assert_snapshot!(with("[http]\nroutes = [\"/a/{b}\", \"/ä/{c\"]\n"), @r#"
    route `/ä/{c` has the segment `{c`; write `{name}`, or last `{*name}`
      --> plugins/hits/plugin.toml:3:21
       |
     3 | routes = ["/a/{b}", "/ä/{c"]
       |                     ^^^^^^^
    hint: a route is `[host]/path` with `{name}` and a last `{*name}`
    "#);
    insta::assert_snapshot!(with("[http]\nroutes = [\"/a/{b}\", \"/a/{c}\"]\n"), @r#"
    route `/a/{c}` matches the same requests as `/a/{b}`
      --> plugins/hits/plugin.toml:3:21
       |
     3 | routes = ["/a/{b}", "/a/{c}"]
       |                     ^^^^^^^^
    hint: keep one of them
    "#);
    insta::assert_snapshot!(with("[[consume]]\ntopics = [\"a b\"]\n"), @r#"
    `a b` is no name for a topic
      --> plugins/hits/plugin.toml:3:11
       |
     3 | topics = ["a b"]
       |           ^^^^^
    hint: use 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`
    "#);
    insta::assert_snapshot!(with("consume = [{ topics = [\"a\"], retry = { attempts = 0 } }]\n"), @r#"
    `attempts` cannot be 0
      --> plugins/hits/plugin.toml:2:51
       |
     2 | consume = [{ topics = ["a"], retry = { attempts = 0 } }]
       |                                                   ^
    hint: make it at least 1
    "#);
    insta::assert_snapshot!(with("[[consume]]\ntopics = [\"a\"]\n[[consume]]\ntopics = [\"b\", \"a\"]\n"), @r#"
    topic `a` is read twice by the group `hits`
      --> plugins/hits/plugin.toml:5:16
       |
     5 | topics = ["b", "a"]
       |                ^^^
    hint: give one of the two a `group` of its own
    "#);
    insta::assert_snapshot!(with("[limits]\nmemory = \"1kB\"\n"), @r#"
    `memory` 1kB is less than one page
      --> plugins/hits/plugin.toml:3:10
       |
     3 | memory = "1kB"
       |          ^^^^^
    hint: give at least `64KiB`; most plugins take 1MiB
    "#);
    insta::assert_snapshot!(with("[topics.\"x y\"]\n"), @r#"
    `x y` is no name for a topic
      --> plugins/hits/plugin.toml:2:1
       |
     2 | [topics."x y"]
       | ^^^^^^^^^^^^^^
    hint: use 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`
    "#);
    insta::assert_snapshot!(with("[topics.x]\nmax-record-bytes = 2000000000\n"), @r#"
    `max-record-bytes` cannot be 2000000000
      --> plugins/hits/plugin.toml:3:20
       |
     3 | max-record-bytes = 2000000000
       |                    ^^^^^^^^^^
    hint: make it at most 1073741824
    "#);
    insta::assert_snapshot!(with("[topics.x]\npartitions = 2000\n"), @r#"
    `partitions` cannot be 2000
      --> plugins/hits/plugin.toml:3:14
       |
     3 | partitions = 2000
       |              ^^^^
    hint: make it at most 1024
    "#);
}

#[test]
fn exactly_once_in_a_database_asks_for_one() {
    let text = "name = \"hits\"\n[[consume]]\ntopics = [\"a\"]\ndelivery = \"exactly-once-sql\"\n";
    insta::assert_snapshot!(explain(text), @r#"
    `exactly-once-sql` commits in a database that is not asked for
      --> plugins/hits/plugin.toml:4:12
       |
     4 | delivery = "exactly-once-sql"
       |            ^^^^^^^^^^^^^^^^^^
    hint: add `[needs.sql]`
    "#);
    assert!(read(&format!("{text}[needs.sql]\n"), "x").is_ok());
}

#[test]
fn a_file_is_read_with_its_migrations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.toml");
    std::fs::write(&path, "name = \"hits\"\n[needs.sql]\nmigrations = \"sql\"\n").unwrap();
    let problem = read_file(&path).unwrap_err();
    assert_eq!(problem.place.unwrap().line, 3);
    std::fs::create_dir(dir.path().join("sql")).unwrap();
    std::fs::write(dir.path().join("sql/1.sql"), "create table hits (id)").unwrap();
    let manifest = read(&read_file(&path).unwrap().to_toml(), "x").unwrap();
    let inline = manifest.needs.sql.unwrap().migrations.unwrap();
    assert_eq!(inline.inline(dir.path()).unwrap()[0].sql, "create table hits (id)");
}

#[test]
fn a_problem_fits_on_one_line_too() {
    let problem = read("name = \"hits\"\nhtpp = 1\n", "plugin.toml").unwrap_err();
    insta::assert_snapshot!(problem, @"plugin.toml:2:1: unknown key `htpp`; did you mean `http`?");
}

#[test]
fn tables_that_are_misspelt_in_case_or_underscore_are_near() {
    assert_eq!(problem::nearest("max_body", ["routes", "max-body"]), Some("max-body"));
    assert_eq!(problem::nearest("Routes", ["routes", "max-body"]), Some("routes"));
    assert_eq!(problem::nearest("colour", ["routes", "max-body"]), None);
}

/// Texts near a manifest, so that the checks are reached: a line of the full one replaced.
fn near_manifest() -> impl Strategy<Value = String> {
    let lines: Vec<&str> = FULL.lines().collect();
    (0..lines.len(), ".*", any::<bool>()).prop_map(move |(at, noise, keep_key)| {
        let mut lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        let key = lines[at].split_inclusive('=').next().unwrap_or_default().to_owned();
        lines[at] = if keep_key { key + &noise } else { noise };
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text: String) {
        let _ = read(&text, "plugin.toml").map_err(|problem| problem.explain());
    }

    #[test]
    fn any_change_of_a_manifest_is_read_without_a_panic(text in near_manifest()) {
        let _ = read(&text, "plugin.toml").map_err(|problem| problem.explain());
    }

    #[test]
    fn any_manifest_is_read_back_as_it_was_written(
        routes in proptest::collection::btree_set("[a-z]{1,8}", 1..4),
        topic in "[a-zA-Z0-9._-]{3,20}",
        config in proptest::collection::btree_map(".{0,10}", ".{0,10}", 0..4),
        description in proptest::option::of(".*"),
        memory in 65_536u64..,
        attempts in 1u32..,
        max_age in proptest::option::of(1u64..31_536_000_000),
    ) {
        let mut manifest = Manifest::default_for("some-plugin");
        manifest.http = Some(Http {
            routes: routes.iter().map(|route| format!("/{route}/{{id}}")).collect(),
            ..Http::default()
        });
        manifest.consume.push(Consume {
            topics: vec![topic.clone()],
            group: None,
            batch: BatchLimits::default(),
            delivery: Delivery::default(),
            start: StartAt::Latest,
            retry: Retry { attempts, ..Retry::default() },
            dead_letter: None,
        });
        manifest.config = config;
        manifest.description = description;
        // TOML numbers have 63 bits; sizes are written as text, so theirs have 64.
        manifest.limits.memory = Bytes(memory);
        manifest.limits.max_age = max_age.map(Millis);
        manifest.topics.insert(topic, TopicSettings { retention_ms: None, ..Default::default() });
        let again = read(&manifest.to_toml(), "x").unwrap();
        prop_assert_eq!(format!("{:?}", manifest), format!("{:?}", again));
    }
}

#[test]
fn exactly_once_in_topics_asks_for_topics() {
    let text =
        "name = \"hits\"\n[[consume]]\ntopics = [\"a\"]\ndelivery = \"exactly-once-topics\"\n";
    insta::assert_snapshot!(explain(text), @r#"
    `exactly-once-topics` commits with what is sent, and nothing may be sent
      --> plugins/hits/plugin.toml:4:12
       |
     4 | delivery = "exactly-once-topics"
       |            ^^^^^^^^^^^^^^^^^^^^^
    hint: add `[needs.produce]`
    "#);
    assert!(read(&format!("{text}[needs.produce]\ntopics = [\"b\"]\n"), "x").is_ok());
}

#[test]
fn a_rate_limit_lets_somebody_in() {
    let text =
        "name = \"hits\"\n[http]\nroutes = [\"/\"]\nrate-limit = { per-second = 5, burst = 0 }\n";
    insta::assert_snapshot!(explain(text), @r#"
    `burst` cannot be 0
      --> plugins/hits/plugin.toml:4:40
       |
     4 | rate-limit = { per-second = 5, burst = 0 }
       |                                        ^
    hint: make it at least 1
    "#);
}

#[test]
fn a_container_has_a_name_that_is_one_and_there_is_one() {
    let text = "name = \"hits\"\n[needs.blobs]\ncontainers = [\"tracks\", \"../x\"]\n";
    insta::assert_snapshot!(explain(text), @r#"
    `../x` is no name for a container
      --> plugins/hits/plugin.toml:3:25
       |
     3 | containers = ["tracks", "../x"]
       |                         ^^^^^^
    hint: use 1 to 63 of `a-z`, `0-9` and `-`, starting with a letter
    "#);
    insta::assert_snapshot!(explain("name = \"hits\"\n[needs.blobs]\n"), @r#"
    `containers` names no container
      --> plugins/hits/plugin.toml:2:1
       |
     2 | [needs.blobs]
       | ^^^^^^^^^^^^^
    hint: name one, as in `containers = ["files"]`
    "#);
}

#[test]
fn a_store_has_a_name() {
    let text = "name = \"hits\"\n[needs.keyvalue]\nstores = [\"default\", \"\"]\n";
    insta::assert_snapshot!(explain(text), @r#"
    a store has no name
      --> plugins/hits/plugin.toml:3:22
       |
     3 | stores = ["default", ""]
       |                      ^^
    hint: write `default` for the store that a guest opens without a name
    "#);
}
