//! Asks a running host through its admin API.

use std::{fs, io, path::Path};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Hinted, Running};
use crate::{
    admin::{self, ports, ports::Ports, token},
    settings::Host,
};

/// The longest answer that is not a stream.
const MAX_ANSWER: usize = 64 << 20;

/// A way to a running host.
pub(super) struct Client {
    base: String,
    token: Option<String>,
    http: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// Find the host: where the caller says, or where its data directory says.
    pub(super) fn find(running: Running) -> anyhow::Result<Self> {
        let run_dir = Host { data: running.data, ..Host::default() }.run_dir();
        let base = match running.admin {
            Some(admin) if admin.starts_with("http://") => admin.trim_end_matches('/').to_owned(),
            Some(admin) if admin.contains("://") => {
                let hint = "the admin API speaks plain HTTP: write `http://HOST:PORT`";
                return Err(Hinted::new(format!("cannot ask `{admin}`"), hint).into());
            }
            Some(admin) => format!("http://{admin}"),
            None => format!("http://{}", listening(&run_dir)?),
        };
        let token = match running.token {
            Some(token) => Some(token),
            None => read_token(&run_dir)?,
        };
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { base, token, http })
    }

    /// Ask for a value.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        read(self.refused(response).await?).await
    }

    /// Have something done; how things are then.
    pub(super) async fn order<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        let response = self.send(Method::POST, path, serde_json::to_vec(body)?.into()).await?;
        read(self.refused(response).await?).await
    }

    /// Send a value; whatever the answer is, it is not looked at.
    pub(super) async fn post<B: Serialize>(&self, path: &str, body: &B) -> anyhow::Result<()> {
        let response = self.send(Method::POST, path, serde_json::to_vec(body)?.into()).await?;
        self.refused(response).await.map(drop)
    }

    /// Send a value whose answer has the same shape whether all went well or not.
    pub(super) async fn post_for<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        let response = self.send(Method::POST, path, serde_json::to_vec(body)?.into()).await?;
        let bytes = whole(response).await?;
        serde_json::from_slice(&bytes).map_err(|_| refusal(&bytes).into())
    }

    /// Ask for lines and hand each over as it comes, until they end.
    pub(super) async fn lines(
        &self,
        path: &str,
        mut each: impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let response = self.send(Method::GET, path, Bytes::new()).await?;
        let mut body = self.refused(response).await?.into_body();
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.context("the host ended the answer")?;
            pending.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                each(String::from_utf8_lossy(&line[..end]).as_ref())?;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(Full::new(body))
            .with_context(|| format!("`{}` is no address of a host", self.base))?;
        self.http.request(request).await.map_err(|error| {
            let message = format!("no host answers at {}: {}", self.base, root(&error));
            Hinted::new(message, "start one with `trellis serve`, or name it with `--admin`").into()
        })
    }

    /// The answer, unless it is an error.
    async fn refused(&self, response: Response<Incoming>) -> anyhow::Result<Response<Incoming>> {
        if response.status().is_success() {
            return Ok(response);
        }
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        let mut hinted = refusal(&whole(response).await?);
        if unauthorized {
            hinted.hints =
                vec!["name it with `--token`, or the data directory with `--data`".into()];
        }
        Err(hinted.into())
    }
}

/// What the host says in an error.
fn refusal(bytes: &[u8]) -> Hinted {
    serde_json::from_slice::<admin::Error>(bytes).map_or_else(
        |_| Hinted {
            message: format!("the host answers `{}`", String::from_utf8_lossy(bytes).trim()),
            hints: Vec::new(),
        },
        Hinted::from,
    )
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> anyhow::Result<T> {
    let bytes = whole(response).await?;
    serde_json::from_slice(&bytes).context("the answer is not what this version expects")
}

async fn whole(response: Response<Incoming>) -> anyhow::Result<Bytes> {
    let limited = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    let collected = limited.collect().await.map_err(anyhow::Error::from_boxed)?;
    Ok(collected.to_bytes())
}

/// Where the host of this data directory listens.
fn listening(run_dir: &Path) -> anyhow::Result<String> {
    let path = ports::file(run_dir);
    match Ports::read(&path) {
        Ok(ports) => Ok(ports.admin.to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("no host runs here: there is no `{}`", path.display());
            let hint =
                "start one, or name one with `--admin URL` or its directory with `--data DIR`";
            Err(Hinted::new(message, hint).into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

fn read_token(run_dir: &Path) -> anyhow::Result<Option<String>> {
    let path = token::file(run_dir);
    match fs::read_to_string(&path) {
        Ok(token) => Ok(Some(token.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// The innermost cause: `Connection refused`, not that a connection could not be made.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A text as one segment of a path or one value of a query.
pub(super) fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
