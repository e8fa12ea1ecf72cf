//! What a caller is told when something goes wrong: a status and `{"error": ..., "hint": ...}`.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::Unmoved;
use crate::{backends::log, manifest::problem};

/// An answer that is an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Error {
    /// The HTTP status.
    #[serde(skip)]
    status: StatusCode,
    /// One sentence in lower case with the offending value in backticks.
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Error {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: None }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<log::Error> for Error {
    fn from(error: log::Error) -> Self {
        let status = match error {
            log::Error::UnknownTopic(_) | log::Error::UnknownPartition { .. } => {
                StatusCode::NOT_FOUND
            }
            log::Error::InvalidTopic(_) | log::Error::InvalidRecord(_) => StatusCode::BAD_REQUEST,
            log::Error::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            log::Error::TopicExists(_) | log::Error::Fenced { .. } | log::Error::GroupBusy(_) => {
                StatusCode::CONFLICT
            }
            log::Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<Unmoved> for Error {
    fn from(unmoved: Unmoved) -> Self {
        match unmoved {
            Unmoved::Log(error) => error.into(),
            Unmoved::Reader(reason) => Self::new(StatusCode::CONFLICT, reason),
        }
    }
}

/// A path that the API does not have.
pub(super) async fn no_such_path(uri: Uri) -> Error {
    Error::new(StatusCode::NOT_FOUND, format!("there is no `{}` here", uri.path()))
}

/// A path that the API has, with another method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Error {
    let message = format!("`{}` cannot be called with {method}", uri.path());
    Error::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// A JSON body, or an [`Error`] that says what is wrong with it.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| Error::new(rejection.status(), rejection.body_text()))?;
        let value = serde_json::from_slice(&bytes);
        value.map(Self).map_err(|error| reworded(&error.to_string()))
    }
}

/// The query, or an [`Error`] that says what is wrong with it.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|query| Self(query.0)).map_err(|rejection| reworded(&rejection.body_text()))
    }
}

/// What a parser says, in our words.
fn reworded(message: &str) -> Error {
    // Which parser it is, and where it stood, is of no use to the caller.
    let start = message.find("unknown ").unwrap_or(0);
    let (error, hint) = problem::reword(&message[start..]);
    Error { status: StatusCode::BAD_REQUEST, error, hint }
}
