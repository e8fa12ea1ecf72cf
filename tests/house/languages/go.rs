//! Go: what somebody sees who writes a plugin in it.

use super::{build, project, serve};
use crate::support::Host;

const MODULE: &str =
    "module it\n\ngo 1.25\n\nrequire trellis v0.0.0\n\nreplace trellis => ./.trellis/go\n";
const MANIFEST: &str = "name = \"it\"\n[http]\nroutes = [\"/it\"]\n";

fn with(code: &str) -> tempfile::TempDir {
    project(&[("go.mod", MODULE), ("plugin.toml", MANIFEST), ("main.go", code)])
}

#[tokio::test]
async fn a_panic_is_a_500_and_its_stack_is_in_the_log() {
    let project = with(
        r#"package main

import (
    "log/slog"

    "trellis/http"
)

func init() { http.Handle(answer) }

func main() {}

func answer(request *http.Request) (*http.Response, error) {
    if request.RawQuery == "" {
        slog.Info("all is well", "path", request.Path)
        return http.Text("hello"), nil
    }
    return fall(nil), nil
}

func fall(of map[string]int) *http.Response {
    of["a"] = 1
    return nil
}
"#,
    );
    let host = Host::start(&[]).await;
    serve(&host, project.path(), "it").await;
    assert_eq!(host.get("/it?fall").await.status, 500);
    assert_eq!(host.get("/it").await.text(), "hello");
    let log = host.log();
    for text in ["assignment to entry in nil map", "main.fall", "all is well path=/it"] {
        assert!(log.contains(text), "{text}\n{log}");
    }
}

#[tokio::test]
async fn a_mistake_is_told_with_its_line() {
    let project = with("package main\n\nfunc main() { var x int = \"text\" }\n");
    let ran = build(project.path(), project.path()).await.refused();
    assert!(ran.err.contains("./main.go:3:"), "{ran:?}");
}

#[tokio::test]
async fn code_that_does_not_do_what_the_manifest_says_is_not_built() {
    let project = with("package main\n\nfunc main() {}\n");
    let ran = build(project.path(), project.path()).await.refused();
    assert!(ran.err.contains("import `trellis/http` and call `http.Handle`"), "{ran:?}");
}
