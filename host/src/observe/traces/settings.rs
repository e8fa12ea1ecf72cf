//! `[observe.traces]`

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Uri, uri::Scheme};
use serde::{Deserialize, Serialize};

use crate::secret::{self, Source};

/// `[observe.traces]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The collector, as `http://host:4318`; without it nothing is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The part of the requests that is traced, from 0 to 1.
    pub sample: f64,
    /// What this service is called.
    pub service: String,
    /// Header fields for the collector, each by where its value is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Source>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { endpoint: None, sample: 1.0, service: "trellis".into(), headers: BTreeMap::new() }
    }
}

/// Why nothing can be traced with these settings.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The endpoint is no address of a collector.
    #[error("`{0}` is no address of a collector")]
    Endpoint(String),
    /// The part is no part.
    #[error("`sample` is {0}, which is not from 0 to 1")]
    Sample(f64),
    /// The header field's name is none.
    #[error("`{0}` is no name of a header field")]
    Header(String),
    /// The header field's value is not there.
    #[error("the header field `{name}` has no value: {error}")]
    Secret {
        /// The field.
        name: String,
        /// Why.
        error: secret::Error,
    },
    /// The header field's value cannot be sent. It is not shown.
    #[error("the value of the header field `{0}` has characters that HTTP does not allow")]
    Value(String),
    /// The system gives no thread, or the like.
    #[error("traces cannot be sent: {0}")]
    Export(String),
}

impl Fault {
    /// The key that is at fault, and what to write there.
    pub fn place(&self) -> (&'static str, &'static str) {
        match self {
            Self::Endpoint(_) => {
                ("endpoint", "write it as `http://127.0.0.1:4318`; `/v1/traces` is added")
            }
            Self::Sample(_) => ("sample", "write 1.0 for every request, 0.01 for one of a hundred"),
            Self::Header(_) | Self::Secret { .. } | Self::Value(_) => {
                ("headers", "write `authorization = { env = \"NAME\" }`")
            }
            Self::Export(_) => ("endpoint", "leave it out to go without traces"),
        }
    }
}

impl Settings {
    /// Whether they make sense. Secrets are not read.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn check(&self) -> Result<(), Fault> {
        self.target()?;
        if !(0.0..=1.0).contains(&self.sample) {
            return Err(Fault::Sample(self.sample));
        }
        let bad = |name: &&String| HeaderName::try_from(name.as_str()).is_err();
        self.headers.keys().find(bad).map_or(Ok(()), |name| Err(Fault::Header(name.clone())))
    }

    /// Where spans are posted to; `None` where nothing is traced.
    pub(super) fn target(&self) -> Result<Option<String>, Fault> {
        let Some(endpoint) = &self.endpoint else { return Ok(None) };
        let base = endpoint.trim_end_matches('/');
        let uri = base.parse::<Uri>().ok();
        let fits = |uri: &Uri| {
            let web = uri.scheme().is_some_and(|s| *s == Scheme::HTTP || *s == Scheme::HTTPS);
            web && uri.host().is_some_and(|host| !host.is_empty()) && uri.query().is_none()
        };
        match uri.filter(fits) {
            Some(_) if base.ends_with("/v1/traces") => Ok(Some(base.to_owned())),
            Some(_) => Ok(Some(format!("{base}/v1/traces"))),
            None => Err(Fault::Endpoint(endpoint.clone())),
        }
    }

    /// The header fields with their values.
    pub(super) async fn fields(&self) -> Result<Vec<(HeaderName, HeaderValue)>, Fault> {
        let mut fields = Vec::new();
        for (name, source) in &self.headers {
            let value = source.read().await;
            let value = value.map_err(|error| Fault::Secret { name: name.clone(), error })?;
            let value = HeaderValue::from_str(&value.reveal());
            let mut value = value.map_err(|_| Fault::Value(name.clone()))?;
            value.set_sensitive(true);
            let name = HeaderName::try_from(name.as_str());
            fields.push((name.map_err(|error| Fault::Header(error.to_string()))?, value));
        }
        Ok(fields)
    }
}
