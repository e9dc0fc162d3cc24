//! The **body** of a request: JSON, or a problem that says what is wrong with it.

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::Problem;

/// The maximum size of a body, in bytes.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// A JSON body. A form of another origin can post text without a CORS preflight, but not JSON.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // The syntax of the whole body is checked first, so that a missing brace is not reported as a missing field.
        let body = <Json<Value> as FromRequest<S>>::from_request(request, state);
        let Json(body) = body.await?;
        serde_json::from_value(body).map(Self).map_err(|error| {
            let detail = format!("the body does not have the expected shape: {error}");
            Problem::unprocessable("INVALID_BODY", detail)
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        let document = <Self as FromRequest<S>>::from_request(request, state);
        document.await.map(Some)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "JSON_REQUIRED",
                "send the header `Content-Type: application/json`",
            ),
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            rejection => Self::new(
                StatusCode::BAD_REQUEST,
                "MALFORMED_JSON",
                rejection.body_text(),
            ),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "BODY_TOO_LARGE",
                format!("a body has at most {MAX_BODY} bytes"),
            ),
            _ => Self::new(
                StatusCode::BAD_REQUEST,
                "INCOMPLETE_BODY",
                "the body ended early",
            ),
        }
    }
}
