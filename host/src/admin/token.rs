//! Who may use the API: whoever presents the host's token.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use super::{Host, error::Error};

/// The secret that callers present.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The operator's token, or one made up and kept in [`file`] for the command line. The file
    /// is written anew at each start; only the host's user can read it.
    pub fn open(given: Option<&str>, run_dir: &Path) -> io::Result<Self> {
        if let Some(given) = given {
            return Ok(Self(given.to_owned()));
        }
        let token = make_up()?;
        DirBuilder::new().recursive(true).mode(0o700).create(run_dir)?;
        let path = file(run_dir);
        // A file that is there keeps its mode, so it goes first.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(token.as_bytes())?;
        Ok(Self(token))
    }

    /// Takes the same time however much of a wrong token is right.
    fn matches(&self, presented: &str) -> bool {
        let hash = |text: &str| *blake3::hash(text.as_bytes()).as_bytes();
        hash(&self.0).ct_eq(&hash(presented)).into()
    }
}

/// Where a made-up token lies.
pub fn file(run_dir: &Path) -> PathBuf {
    run_dir.join("admin-token")
}

/// 256 bits in hexadecimal.
fn make_up() -> io::Result<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Let only those pass that present the token.
pub(super) async fn check(State(host): State<Host>, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let refusal = match presented {
        Some((_, token)) if host.token.matches(token.trim()) => return next.run(request).await,
        Some(_) => "the token is wrong",
        None => "a token is missing",
    };
    Error::new(StatusCode::UNAUTHORIZED, refusal)
        .hint("send `authorization: Bearer TOKEN` with `[admin] token`, or what stands in `run/admin-token` of the data directory")
        .into_response()
}
