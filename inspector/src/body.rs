//! The **body** of a request: JSON, or a problem that says what is wrong with it.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::problem::Problem;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// A JSON body.
pub(crate) struct Document<T>(pub(crate) T);

/// A JSON body, or none, which is the default.
pub(crate) struct OptionalDocument<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        parse(is_json, &bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalDocument<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        parse(is_json, &bytes).map(Self)
    }
}

/// A form of another origin can post text without asking; JSON it cannot.
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let refused = |rejection: BytesRejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "BODY_TOO_LARGE",
            format!("a body has at most {MAX_BODY} bytes"),
        ),
        _ => Problem::new(
            StatusCode::BAD_REQUEST,
            "INCOMPLETE_BODY",
            "the body broke off before its end",
        ),
    };
    Bytes::from_request(request, state).await.map_err(refused)
}

fn parse<T: DeserializeOwned>(is_json: bool, bytes: &[u8]) -> Result<T, Problem> {
    if !is_json {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "JSON_REQUIRED",
            "send the header `Content-Type: application/json`",
        ));
    }
    let malformed = |code, detail| Problem::new(StatusCode::BAD_REQUEST, code, detail);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed("INVALID_UTF8", format!("the body is not UTF-8: {error}")))?;
    let not_json = |error| malformed("MALFORMED_JSON", format!("the body is not JSON: {error}"));
    // Its syntax to the end first: else a field that is missing would hide a brace that is.
    serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Problem::unprocessable(
            "INVALID_BODY",
            format!("the body does not have the expected shape: {error}"),
        ),
        _ => not_json(error),
    })
}
