//! What somebody sees when something is wrong, in every language: each message names the place, the
//! reason and what to do, and nothing of the tools behind it.

use std::{fs, path::Path};

use super::build;
use crate::{
    command::{Ran, ask, run, trellis},
    support::Host,
};

const LANGUAGES: &[&str] = &["rust", "typescript", "javascript", "python", "go", "c"];

/// A file, a text in it, and what is written in its place.
type Change<'a> = (&'a str, &'a str, &'a str);
/// A language, a change of its template, and what is to be told.
type Case<'a> = (&'a str, Change<'a>, &'a [&'a str]);
/// A language, the programs that are there with their scripts, and what is to be told.
type Machine<'a> = (&'a str, &'a [(&'a str, &'a str)], [&'a str; 2]);

/// A new project with some of its text replaced.
async fn project(language: &str, changes: &[Change<'_>]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("it");
    let into = ["new", "it", "--lang", language, "--dir"].map(AsRef::as_ref);
    run(trellis(into.into_iter().chain([folder.as_os_str()]))).await.well();
    for (file, text, other) in changes {
        let path = folder.join(file);
        let whole = fs::read_to_string(&path).unwrap();
        assert!(whole.contains(text), "`{text}` is not in {whole}");
        fs::write(&path, whole.replace(text, other)).unwrap();
    }
    dir
}

/// Every line that is expected is there, and no line of our tools, nor more lines than one reads.
fn tells(ran: &Ran, about: &str, expected: &[&str]) {
    for text in expected {
        assert!(ran.err.contains(text), "{about}: `{text}` is not in\n{}", ran.err);
    }
    for noise in ["node_modules", "/0/", "toolchains/", "WARNING", "spurious", "npm error", "#"] {
        assert!(!ran.err.contains(noise), "{about}: `{noise}` is in\n{}", ran.err);
    }
    assert!(ran.err.lines().count() < 20, "{about}:\n{}", ran.err);
}

#[tokio::test]
async fn a_wrong_manifest_is_told_before_anything_is_built() {
    for language in LANGUAGES {
        let project = project(language, &[("plugin.toml", "routes", "rutes")]).await;
        let ran = build(project.path(), project.path()).await.refused();
        let expected = ["unknown key `rutes`", "plugin.toml:6:1", "did you mean `routes`?"];
        tells(&ran, language, &expected);
        assert_eq!(ran.err.matches("error:").count(), 1, "{ran:?}");
    }
}

#[tokio::test]
async fn a_trigger_that_the_code_does_not_have_is_told_with_what_to_write() {
    let cases: &[(&str, &[&str])] = &[
        (
            "rust",
            &[
                "plugin.toml has `[[consume]]`, but the code exports no `trellis:kafka/packed-consumer`",
                "hint: write `trellis_sdk::consumer!(FUNCTION);`, or take it out",
            ],
        ),
        ("typescript", &["plugin.ts(5,", "'consume' is missing"]),
        ("javascript", &["plugin.toml has [[consume]], but the plugin has no `consume`"]),
        ("python", &["plugin.toml has `[[consume]]`, but plugin.py has no `@consumer.each`"]),
        ("go", &["hint: import `trellis/consumer` and call `consumer.Handle`"]),
        (
            "c",
            &["plugin.toml has `[[consume]]`, but there is no `trellis_on_batch`", "hint: write"],
        ),
    ];
    for (language, expected) in cases {
        let consume = "[[consume]]\ntopics = [\"events\"]\n\n[http]";
        let project = project(language, &[("plugin.toml", "[http]", consume)]).await;
        let ran = build(project.path(), project.path()).await.refused();
        tells(&ran, language, expected);
    }
}

/// A build where nothing is installed but what `programs` says.
async fn build_with(programs: &[(&str, &str)], project: &Path) -> Ran {
    use std::os::unix::fs::PermissionsExt;
    let bin = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let path = bin.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = trellis(["build"]);
    command.arg(project).arg("--out").arg(project);
    command.env("PATH", bin.path()).env("TRELLIS_CACHE", bin.path().join("cache"));
    run(command).await
}

#[tokio::test]
async fn a_missing_toolchain_is_told_with_where_to_get_it() {
    let node = "hint: install Node.js 18 or newer with npm: https://nodejs.org";
    let python = "hint: install Python 3.9 or newer with pip: `apt install python3 python3-pip`";
    let cases: &[(&str, [&str; 2])] = &[
        ("rust", ["there is no `rustc`", "hint: install Rust with rustup: https://rustup.rs"]),
        ("typescript", ["there is no Node.js 18 or newer with npm", node]),
        ("javascript", ["there is no Node.js 18 or newer with npm", node]),
        ("python", ["there is no `python3`", python]),
        ("go", ["there is no Go 1.25 or newer", "hint: install Go 1.25 or newer: https://go.dev"]),
        ("c", ["there is no `python3`", python]),
    ];
    for (language, expected) in cases {
        let project = project(language, &[]).await;
        let ran = build_with(&[], project.path()).await.refused();
        told_shortly(&ran, language, expected);
    }
}

#[tokio::test]
async fn a_toolchain_that_is_old_or_out_of_reach_is_told_in_a_line() {
    let warning = "WARNING: Retrying (Retry(total=1)) after connection broken by \
                   'NewConnectionError('<it at 0x7>: no route to host')': /simple/it/";
    let offline = format!("echo \"{warning}\" >&2; echo 'ERROR: none' >&2; exit 1");
    let no_pip = "echo '/bin/python3: No module named pip' >&2; exit 1";
    let no_target = "echo /nowhere";
    let reached = "pip reaches no index: no route to host";
    let cases: &[Machine<'_>] = &[
        ("python", &[("python3", &offline)], [reached, "hint: connect to the network"]),
        ("c", &[("python3", &offline)], [reached, "hint: connect to the network"]),
        ("c", &[("python3", no_pip)], ["`python3` has no pip", "hint: install Python 3.9"]),
        ("go", &[("go", "echo go1.19.8"), ("python3", &offline)], [reached, "hint: install Go"]),
        (
            "typescript",
            &[("node", "echo v12.1.0"), ("npm", "echo 6"), ("python3", &offline)],
            [reached, "hint: install Node.js 18"],
        ),
        (
            "rust",
            &[("rustc", no_target), ("rustup", "echo 'error: no network' >&2; exit 1")],
            ["wasm32-wasip2 is missing: no network", "hint: install it with `rustup target add"],
        ),
    ];
    for (language, programs, expected) in cases {
        let project = project(language, &[]).await;
        let ran = build_with(programs, project.path()).await.refused();
        told_shortly(&ran, language, expected);
    }
}

/// In one error and one hint, below a line of what is being installed.
fn told_shortly(ran: &Ran, language: &str, expected: &[&str]) {
    for text in expected {
        assert!(ran.err.contains(text), "{language}: `{text}` is not in\n{}", ran.err);
    }
    let said = ran.err.lines().filter(|line| !line.starts_with("installing ")).count();
    assert!(said == 2 && !ran.err.contains("WARNING"), "{language}:\n{}", ran.err);
}

#[tokio::test]
async fn a_mistake_is_told_with_its_line_and_without_the_tools_of_ours() {
    let cases: &[Case<'_>] = &[
        (
            "rust",
            ("src/lib.rs", "unwrap_or(\"world\")", "unwrap_or(7)"),
            &["error[E0308]: mismatched types", "src/lib.rs:14:", "expected `&str`"],
        ),
        (
            "typescript",
            ("plugin.ts", "params.who", "parms.who"),
            &["plugin.ts(7,34): error TS2551: Property 'parms'", "Did you mean 'params'?"],
        ),
        (
            "javascript",
            ("plugin.js", "{ json,", "{ jsn,"),
            &["import \"jsn\"", "plugin.js:3:9:", "Did you mean to import \"json\""],
        ),
        (
            "javascript",
            ("plugin.js", "import", "import x from \"leftpad\";\nimport"),
            &["Could not resolve \"leftpad\"", "plugin.js:3:14:", "npm install leftpad"],
        ),
        (
            "python",
            ("plugin.py", "from trellis", "import requests\nfrom trellis"),
            &["File \"plugin.py\", line 3", "No module named 'requests'", "hint: name its package"],
        ),
        (
            "go",
            ("main.go", "request.Param(\"who\")", "7"),
            &["./main.go:16:", "cannot use 7 (untyped int constant) as string value"],
        ),
        (
            "c",
            ("plugin.c", "trellis_param(request, \"who\")", "7"),
            &["plugin.c:5:", "error: passing 'int' to parameter of incompatible type"],
        ),
    ];
    for (language, change, expected) in cases {
        let project = project(language, &[*change]).await;
        let ran = build(project.path(), project.path()).await.refused();
        tells(&ran, language, expected);
        for noise in ["(.trellis/", "as external", "could not compile", "generated.", "Adding"] {
            assert!(!ran.err.contains(noise), "{language}: `{noise}` is in\n{}", ran.err);
        }
    }
}

/// Programs in which something goes wrong, with what the log must tell: the reason and the place.
const FALLS: &[Case<'_>] = &[
    (
        "rust",
        (
            "src/lib.rs",
            "    let who",
            "    assert!(request.path().is_empty(), \"no one\");\n    let who",
        ),
        &["panicked at src/lib.rs:14:", "no one", "trapped: wasm trap"],
    ),
    (
        "typescript",
        (
            "plugin.ts",
            "return",
            "if (request.path !== \"\") throw new Error(\"no one\");\n    return",
        ),
        &["Error: no one\n", "    at http (plugin.ts:7)"],
    ),
    (
        "javascript",
        ("plugin.js", "return", "undefined.name;\n    return"),
        &["TypeError: cannot read property 'name' of undefined\n", "    at http (plugin.js:"],
    ),
    (
        "python",
        ("plugin.py", "    return", "    raise ValueError(\"no one\")\n    return"),
        &["Traceback", "  File \"plugin.py\", line 8, in greet", "ValueError: no one"],
    ),
    (
        "go",
        ("main.go", "\treturn", "\tvar none []int\n\tnone[len(request.Path)]++\n\treturn"),
        &["index out of range", "\n", "    at main.answer (", "main.go:17)"],
    ),
    (
        "c",
        (
            "plugin.c",
            "#include \"trellis.h\"",
            "#include <assert.h>\n#include \"trellis.h\"\n#define trellis_param(from, name) \
             (assert(from->path.size == 0), trellis_param(from, name))",
        ),
        &[
            "Assertion failed: request->path.size == 0 (plugin.c: trellis_on_request: ",
            "    at trellis_on_request",
        ],
    ),
];

#[tokio::test]
async fn what_falls_in_a_handler_is_in_the_log_with_its_reason_and_its_place() {
    let host = Host::start(&[]).await;
    for (language, change, expected) in FALLS {
        let named = ("plugin.toml", "\"it\"", &*format!("\"it-{language}\""));
        let project = project(language, &[*change, named]).await;
        super::serve(&host, project.path(), &format!("it-{language}")).await;
        assert_eq!(host.get("/it/ada").await.status, 500, "{language}");
        let log = ask(&host, &["logs", "--plugin", &format!("it-{language}")]).await;
        for text in *expected {
            assert!(log.out.contains(text), "{language}: `{text}` is not in\n{}", log.out);
        }
        for noise in [".trellis/", "/0/", "\\n", "wasm backtrace", "rust_panic", "<unknown>"] {
            assert!(!log.out.contains(noise), "{language}: `{noise}` is in\n{}", log.out);
        }
        // The next one has the same route.
        fs::remove_file(host.plugins().join(format!("it-{language}.wasm"))).unwrap();
        host.until("/it/ada", |answer| answer.status == 404).await;
    }
}

#[tokio::test]
async fn a_missing_grant_is_told_with_the_lines_to_write() {
    let host = Host::start_with(&[], "[grants]\ndefault = \"nothing\"\n").await;
    for language in LANGUAGES {
        let name = format!("it-{language}");
        let named = ("plugin.toml", "\"it\"", &*format!("\"{name}\""));
        let needs = ("plugin.toml", "[http]", "[needs.sql]\n\n[http]");
        let project = project(language, &[named, needs]).await;
        let out = tempfile::tempdir().unwrap();
        assert_eq!(build(project.path(), out.path()).await.code, Some(0), "{language}");
        let file = format!("{name}.wasm");
        host.install(&file, fs::read(out.path().join(&file)).unwrap());
        let status = host.until_plugin(&name, |plugin| plugin["state"] == "failed").await;
        let told = status.to_string();
        let lines = format!("add `sql = {{}}` to `[grants.plugins.{name}]`");
        for text in ["needs `sql` without a grant", &*lines] {
            assert!(told.contains(text), "{language}: `{text}` is not in {told}");
        }
    }
}
