//! A **problem** is an error answer: RFC 9457 JSON with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use campanile::event::recipient::InvalidInput;
use campanile::{DispatchError, StoreError};
use serde_json::{Map, Value, json};

/// `{ "type", "title", "status", "code", "detail", .. }` as `application/problem+json`.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            more: Map::new(),
        }
    }

    /// Adds a member beside the standard ones.
    pub(crate) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.more.insert(member.to_owned(), value.into());
        self
    }

    /// The request is well-formed but cannot be used.
    pub(crate) fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// Nothing has that name.
    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// A bug of the inspector's; the details are logged and not sent.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "internal error; the inspector's log has the details",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Unknown"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.more);
        }
        let json = HeaderValue::from_static("application/problem+json");
        (
            self.status,
            [(header::CONTENT_TYPE, json)],
            body.to_string(),
        )
            .into_response()
    }
}

impl From<DispatchError> for Problem {
    fn from(error: DispatchError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        match error {
            DispatchError::RegistryMiss { suggestion, .. } => {
                Self::not_found(code, detail).with("suggestion", suggestion)
            }
            DispatchError::InvalidPayload { reason, .. } => {
                Self::unprocessable(code, detail).with("field", reason.field())
            }
            DispatchError::InvalidInput(input) => input.into(),
            DispatchError::TooManyRecipients { .. } => Self::unprocessable(code, detail),
            DispatchError::Store(error) => error.into(),
            DispatchError::CommitUnknown { .. } => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, code, detail)
            }
            error => {
                tracing::error!(%error, "a dispatch was refused");
                Self::internal()
            }
        }
    }
}

impl From<InvalidInput> for Problem {
    fn from(error: InvalidInput) -> Self {
        Self::unprocessable("INVALID_INPUT", error.to_string())
            .with("field", error.field())
            .with("index", error.index())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the database did not answer"
        );
        let status = if error.is_transient() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, "STORE_FAILED", error.to_string())
    }
}
