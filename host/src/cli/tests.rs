#![allow(clippy::unwrap_used)]

use clap::CommandFactory;

use super::{output::Style, *};
use crate::{
    admin::topics::Overview,
    backends::log::{Lag, Range, Topic, TopicSettings},
    manifest::Problem,
    nodes::{Node, Plugin, State as Stage, node::Addresses},
    observe::logs::Line,
    plugins::{
        Status, Weights,
        status::{Split, State, Version, VersionState},
    },
};

const PLAIN: Style = Style(false);

fn help(path: &[&str]) -> String {
    let mut command = Arguments::command();
    command.build();
    for name in path {
        command = command.find_subcommand(name).unwrap().clone();
    }
    command.term_width(90).render_help().to_string()
}

fn status(name: &str, state: State) -> Status {
    Status {
        name: name.into(),
        state,
        reason: None,
        generation: Some(3),
        version: Some("0.1.0".into()),
        digest: Some("abc".into()),
        routes: vec!["/t/{*path}".into()],
        consumes: Vec::new(),
        needs: toml::from_str("produce.topics = [\"raw\"]").unwrap(),
        instances: 2,
        lent: 1,
        memory: 3 << 20,
        calls: 12_000,
        faults: 1,
        errors: 2,
        reverts: 0,
        split: None,
        versions: Vec::new(),
        since_ms: 1_767_225_600_000,
        file: Some("plugins/tracker.wasm".into()),
    }
}

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn help_shows_every_command_with_examples() {
    insta::assert_snapshot!(help(&[]), @r#"
    Run plugins: WebAssembly components that answer HTTP requests and consume topics

    Usage: trellis [OPTIONS] <COMMAND>

    Commands:
      new       Make the project of a plugin
      dev       Build the plugins of a directory, serve them, and build again what is saved
      serve     Run the plugins of a directory, and follow it as files come and go
      build     Build plugins: one file each, with its manifest inside
      check     Show what a component is and whether a host would refuse it
      test      Try plugins with their cases
      docs      Write the manual as web pages
      plugins   Show the plugins of a running host
      rollback  Put an earlier version of a plugin back
      split     Give a new version of a plugin a part of its requests
      reload    Load the file of a plugin again, also where the host took its version back
      nodes     Show the hosts that share their backends with a running host
      logs      Show what a running host and its plugins wrote
      topics    Look into topics, write to them, move their readers
      help      Print this message or the help of the given subcommand(s)

    Options:
          --json          Print JSON instead of text
          --color <WHEN>  When to use colours [default: auto] [possible values: auto, always,
                          never]
      -h, --help          Print help (see more with '--help')
      -V, --version       Print version

    Examples:
      trellis new greeter --lang python      the project of a plugin
      trellis dev                            build what is below `plugins`, serve it, watch
      trellis serve --plugins /srv/plugins   serve components and follow their directory
      trellis build plugins --out out        every plugin below `plugins`
      trellis check out/tracker.wasm         what it is and why it would be refused
      trellis test plugins/tracker           does it do what its cases say
      trellis plugins                        what a running host serves
      trellis rollback tracker               the version before serves again
      trellis topics consume events --follow
    "#);
}

#[test]
fn help_of_a_command_shows_its_flags_and_examples() {
    insta::assert_snapshot!(help(&["build"]), @r#"
    Build plugins: one file each, with its manifest inside

    Usage: trellis build [OPTIONS] [DIR]...

    Arguments:
      [DIR]...  Folders of plugins, or folders above them [default: plugins]

    Options:
          --out <DIR>     Where the components go [default: target/plugins]
          --json          Print JSON instead of text
          --color <WHEN>  When to use colours [default: auto] [possible values: auto, always,
                          never]
      -h, --help          Print help (see more with '--help')

    Examples:
      trellis build                             every plugin below `plugins`
      trellis build plugins/tracker --out out

    A plugin is a folder with a plugin.toml. Its language is told by a file: Cargo.toml
    (Rust, for wasm32-wasip2, which rustup adds if it is missing), plugin.ts, plugin.js,
    plugin.py, go.mod or plugin.c. Compilers are pinned and installed once, into
    ~/.cache/trellis. One with a .wasm file is taken as it is.
    "#);
    insta::assert_snapshot!(help(&["serve"]), @r#"
    Run the plugins of a directory, and follow it as files come and go

    Usage: trellis serve [OPTIONS]

    Options:
          --plugins <DIR>      The directory of the components [default: plugins]
          --data <DIR>         The directory of the embedded backends [default: data]
          --listen <ADDR>      Where to answer HTTP, once or more often; port 0 takes a free
                               one [default: 127.0.0.1:8080]
          --admin <ADDR>       Where the admin API listens [default: 127.0.0.1:9080]
          --settings <FILE>    A file of settings [env: TRELLIS_SETTINGS]
          --ports-file <FILE>  A file to write the addresses to, once ready
          --grant-needs        Grant every plugin what its manifest needs, for directories
                               whose plugins are one's own
          --json               Print JSON instead of text
          --color <WHEN>       When to use colours [default: auto] [possible values: auto,
                               always, never]
      -h, --help               Print help (see more with '--help')

    Examples:
      trellis serve --plugins /srv/plugins --data /var/lib/trellis
      trellis serve --listen 0.0.0.0:8080 --settings /etc/trellis.toml
      TRELLIS_GEOIP_DATABASE=city.mmdb trellis serve

    A flag wins over a variable TRELLIS_TABLE_KEY, which wins over the settings file,
    which wins over the defaults. SIGTERM and SIGINT let requests in flight end.
    "#);
    insta::assert_snapshot!(help(&["topics"]), @r#"
    Look into topics, write to them, move their readers

    Usage: trellis topics [OPTIONS] <COMMAND>

    Commands:
      list     All topics
      create   Create a topic
      produce  Write records: each VALUE, or each line of the standard input
      consume  Read records without moving any group
      lag      How far every group is
      replay   Move a group, whose plugin is live, to another place in a topic
      help     Print this message or the help of the given subcommand(s)

    Options:
          --json          Print JSON instead of text
          --color <WHEN>  When to use colours [default: auto] [possible values: auto, always,
                          never]
      -h, --help          Print help (see more with '--help')

    Examples:
      trellis topics list
      trellis topics create events --partitions 8 --retention-hours 24
      echo 'hello' | trellis topics produce events --key greeting
      trellis topics consume events --from 2026-01-31T08:00:00Z --limit 10
      trellis topics lag
      trellis topics replay events --group enricher --to earliest
    "#);
}

#[test]
fn every_command_has_examples() {
    for command in Arguments::command().get_subcommands() {
        let examples = command.get_after_help().unwrap().to_string();
        assert!(examples.contains("  trellis "), "{}", command.get_name());
    }
}

#[test]
fn plugins_are_listed_with_the_reason_of_a_failure() {
    let mut failed = status("enricher", State::Failed);
    failed.reason = Some("plugin.toml:3:1: unknown key `rotues`; did you mean `routes`?".into());
    failed.generation = None;
    let statuses = [failed, status("tracker", State::Live)];
    insta::assert_snapshot!(plugins::listing(&statuses, PLAIN), @r#"
    NAME      STATE   GENERATION  VERSION  INSTANCES  MEMORY  CALLS  FAULTS
    enricher  failed  -           0.1.0    2          3MiB    12000  1
      plugin.toml:3:1: unknown key `rotues`; did you mean `routes`?
    tracker   live    3           0.1.0    2          3MiB    12000  1
    "#);
    insta::assert_snapshot!(plugins::listing(&[], PLAIN), @"no plugins are installed");
}

#[test]
fn a_plugin_is_shown_with_everything_about_it() {
    insta::assert_snapshot!(plugins::details(&status("tracker", State::Live), PLAIN), @r#"
    name        tracker
    state       live
    reason      -
    generation  3
    version     0.1.0
    since       2026-01-01T00:00:00.000Z
    file        plugins/tracker.wasm
    digest      abc
    split       -
    routes      /t/{*path}
    consumes    -
    needs       produce {"topics":["raw"]}
    instances   2
    memory      3MiB
    calls       12000
    faults      1
    errors      2
    reverts     0
    "#);
}

#[test]
fn a_plugin_is_shown_with_its_versions() {
    let version = |state, generation: Option<u64>, weight, reason: Option<&str>| Version {
        digest: "0123456789abcdef".into(),
        state,
        reason: reason.map(str::to_owned),
        version: generation.map(|generation| format!("1.{generation}")),
        loaded_ms: 1_767_225_600_000,
        generation,
        weight,
        calls: 1000,
        errors: 3,
    };
    let shown = Status {
        split: Some(Split { weights: Weights { live: 19, candidate: 1 }, generation: Some(4) }),
        versions: vec![
            version(VersionState::Canary, Some(4), 0.05, None),
            version(VersionState::Live, Some(3), 0.95, None),
            version(VersionState::Draining, Some(2), 0.0, None),
            version(VersionState::Refused, None, 0.0, Some("it failed\nhint: mend it")),
        ],
        ..status("tracker", State::Live)
    };
    let text = plugins::details(&shown, PLAIN);
    assert!(text.contains("\nsplit       generation 4 is a candidate with 5%\n"), "{text}");
    let table = text.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(table, @r#"
    VERSION  DIGEST        STATE     GENERATION  WEIGHT  LOADED                    CALLS  ERRORS
    1.4      0123456789ab  canary    4           5%      2026-01-01T00:00:00.000Z  1000   3
    1.3      0123456789ab  live      3           95%     2026-01-01T00:00:00.000Z  1000   3
    1.2      0123456789ab  draining  2           0%      2026-01-01T00:00:00.000Z  1000   3
    -        0123456789ab  refused   -           -       2026-01-01T00:00:00.000Z  -      -
      it failed
      hint: mend it
    "#);
}

#[test]
fn nodes_are_listed_with_the_plugins_that_differ() {
    let node = |name: &str, state, digests: [&str; 2]| {
        let plugins = ["counters", "tracker"].into_iter().zip(digests);
        let plugins = plugins.map(|(plugin, digest)| Plugin {
            name: plugin.into(),
            state: State::Live,
            version: None,
            digest: Some(digest.into()),
        });
        let addresses = Addresses {
            http: vec!["10.0.0.7:80".parse().unwrap()],
            admin: "10.0.0.7:9080".parse().unwrap(),
        };
        let node = Node::starting(name.into(), addresses, 1_767_225_600_000);
        Node { state, version: "0.1.0".into(), plugins: plugins.collect(), ..node }
    };
    let nodes = [
        node("berlin-1", Stage::Ready, ["0123456789", "aaaaaaaaaa"]),
        node("berlin-2", Stage::Ready, ["0123456789", "bbbbbbbbbb"]),
        // What it served last does not matter.
        node("berlin-3", Stage::Lost, ["9876543210", "aaaaaaaaaa"]),
    ];
    insta::assert_snapshot!(nodes::listing(&nodes, PLAIN), @r#"
    NAME      STATE  VERSION  STARTED                   HEARD                     HTTP         ADMIN          PLUGINS
    berlin-1  ready  0.1.0    2026-01-01T00:00:00.000Z  2026-01-01T00:00:00.000Z  10.0.0.7:80  10.0.0.7:9080  2
    berlin-2  ready  0.1.0    2026-01-01T00:00:00.000Z  2026-01-01T00:00:00.000Z  10.0.0.7:80  10.0.0.7:9080  2
    berlin-3  lost   0.1.0    2026-01-01T00:00:00.000Z  2026-01-01T00:00:00.000Z  10.0.0.7:80  10.0.0.7:9080  2
    plugin `tracker` differs: aaaaaaaa on berlin-1; bbbbbbbb on berlin-2
    "#);
}

#[test]
fn topics_and_groups_are_listed() {
    let overview = |name: &str, retention_ms| Overview {
        topic: Topic {
            name: name.into(),
            partitions: 2,
            settings: TopicSettings { retention_ms, ..TopicSettings::default() },
        },
        ranges: vec![Range { start: 10, end: 15 }, Range { start: 0, end: 1 }],
    };
    let topics = [overview("events", Some(3_600_000)), overview("raw", None)];
    insta::assert_snapshot!(topics::listing(&topics), @r#"
    TOPIC   PARTITIONS  RECORDS  KEPT
    events  2           6        1h
    raw     2           6        for ever
    "#);
    let lag = Lag {
        group: "enricher".into(),
        topic: "raw".into(),
        partition: 0,
        committed: None,
        end: 15,
        lag: 5,
    };
    insta::assert_snapshot!(topics::lag_listing(&[lag]), @r#"
    GROUP     TOPIC  PARTITION  COMMITTED  END  LAG
    enricher  raw    0          -          15   5
    "#);
}

#[test]
fn errors_are_one_sentence_and_hints() {
    let report = |error: anyhow::Error| error::report(&error, PLAIN);
    let hinted = Hinted::new("no host runs here", "start one");
    insta::assert_snapshot!(report(hinted.into()), @r#"
    error: no host runs here
    hint: start one
    "#);
    let cause = io::Error::other("disk is full");
    insta::assert_snapshot!(report(anyhow::Error::new(cause).context("cannot write `x`")), @"error: cannot write `x`: disk is full");
    let problem: Problem = crate::manifest::read("name = 1", "plugin.toml").unwrap_err();
    insta::assert_snapshot!(report(problem.into()), @r#"
    error: invalid type: integer `1`, expected a string
      --> plugin.toml:1:8
       |
     1 | name = 1
       |        ^
    "#);
    let coloured = error::report(&Hinted::new("a", "b").into(), Style(true));
    assert_eq!(coloured, "\x1b[1;31merror:\x1b[0m a\n\x1b[1;32mhint:\x1b[0m b\n");
}

#[test]
fn a_column_is_as_wide_as_its_widest_cell() {
    let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned(), "c".to_owned()]];
    assert_eq!(output::columns(&rows), "a     b\nlong  c\n");
}

#[test]
fn a_log_line_of_several_lines_is_one_event_and_cannot_move_the_cursor() {
    let line = Line {
        level: "ERROR".into(),
        message: "it panicked:\nat main\u{1b}[2J\tdone\r".into(),
        plugin: Some("shop".into()),
        ..Line::default()
    };
    assert_eq!(
        logs::show(&line, PLAIN),
        "1970-01-01T00:00:00.000Z ERROR shop: it panicked:\n    at main\\u{1b}[2J\tdone\\r\n"
    );
}
