//! C: what somebody sees who writes a plugin in it.

use super::{build, project, serve};
use crate::support::Host;

const MANIFEST: &str = "name = \"it\"\n[http]\nroutes = [\"/it\"]\n";

fn with(code: &str) -> tempfile::TempDir {
    project(&[("plugin.toml", MANIFEST), ("plugin.c", code)])
}

#[tokio::test]
async fn what_was_written_before_an_abort_is_in_the_log() {
    let project = with(
        r#"#include <stdio.h>
#include <stdlib.h>
#include "trellis.h"

trellis_response trellis_on_request(const trellis_request *request) {
  if (!request->query.data) return trellis_text(200, trellis_format("hello %s", "you"));
  printf("one step before\n");
  fprintf(stderr, "this cannot be: %d\n", 7);
  abort();
}
"#,
    );
    let host = Host::start(&[]).await;
    serve(&host, project.path(), "it").await;
    assert_eq!(host.get("/it?fall").await.status, 500);
    assert_eq!(host.get("/it").await.text(), "hello you");
    let log = host.log();
    for text in ["one step before", "this cannot be: 7"] {
        assert!(log.contains(text), "{text}\n{log}");
    }
}

#[tokio::test]
async fn a_mistake_is_told_with_its_line() {
    let project = with("#include \"trellis.h\"\nint x = y;\n");
    let ran = build(project.path(), project.path()).await.refused();
    assert!(ran.err.contains("plugin.c:2:9: error: "), "{ran:?}");
}

#[tokio::test]
async fn a_function_that_the_manifest_asks_for_is_missed_by_its_name() {
    let project = with("#include \"trellis.h\"\n");
    let ran = build(project.path(), project.path()).await.refused();
    assert!(ran.err.contains("trellis_on_request"), "{ran:?}");
}
