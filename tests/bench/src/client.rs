//! A client for single requests.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Hyper, connect::HttpConnector},
    rt::TokioExecutor,
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Keeps connections; clones share them.
#[derive(Clone)]
pub struct Client(Hyper<HttpConnector, Full<Bytes>>);

impl Default for Client {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(Hyper::builder(TokioExecutor::new()).build(connector))
    }
}

impl Client {
    /// Send a request and read the answer to its end.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes)> {
        let answer = async {
            let (head, body) = self.0.request(request).await?.into_parts();
            Ok((head.status, body.collect().await?.to_bytes()))
        };
        tokio::time::timeout(TIMEOUT, answer).await?
    }

    /// GET; any status is an answer.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, Bytes)> {
        self.send(Request::get(url).body(Full::default())?).await
    }

    /// GET of JSON with a bearer token.
    pub async fn json(&self, url: &str, token: &str) -> Result<serde_json::Value> {
        let request = Request::get(url).header("authorization", format!("Bearer {token}"));
        let (status, body) = self.send(request.body(Full::default())?).await?;
        ensure!(status.is_success(), "{url}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }
}
