//! What a request **says**: a JSON body, a form, a query. What cannot be read is a problem that says why.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FormRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use crate::problem::{
    BODY_TOO_LARGE, FORM_REQUIRED, INVALID_BODY, INVALID_QUERY, JSON_REQUIRED, MALFORMED_BODY,
    Problem,
};

/// The largest body, in bytes. The ones there are have a few hundred.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// A JSON body.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                JSON_REQUIRED,
                "send the header `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        parse(&bytes.map_err(unreadable)?).map(Self)
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

#[allow(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn unreadable(rejection: BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("a body has at most {MAX_BODY} bytes");
        return Problem::new(BODY_TOO_LARGE, detail);
    }
    Problem::new(MALFORMED_BODY, "the body broke off before its end")
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let malformed = |error| Problem::new(MALFORMED_BODY, format!("the body is not JSON: {error}"));
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::new(MALFORMED_BODY, format!("the body is not UTF-8: {error}")))?;
    // Its syntax to the end first: else a field that is missing would hide a brace that is.
    serde_json::from_str::<IgnoredAny>(text).map_err(malformed)?;
    // serde would take a list for the members of a struct in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Problem::new(INVALID_BODY, "the body is no JSON object"));
    }
    serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Problem::new(INVALID_BODY, error.to_string()),
        _ => malformed(error),
    })
}

/// A form, as a page without JavaScript sends it. What another origin may send too is kept out by the router.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::extract::Form::from_request(request, state).await {
            Ok(axum::extract::Form(form)) => Ok(Self(form)),
            Err(FormRejection::BytesRejection(rejection)) => Err(unreadable(rejection)),
            Err(FormRejection::InvalidFormContentType(_)) => Err(Problem::new(
                FORM_REQUIRED,
                "send the header `Content-Type: application/x-www-form-urlencoded`",
            )),
            Err(rejection) => Err(Problem::new(INVALID_BODY, rejection.body_text())),
        }
    }
}

/// The query of a URL. What it does not know it leaves alone: proxies and trackers add their own.
pub(crate) struct Search<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Search<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::new(INVALID_QUERY, rejection.body_text())),
        }
    }
}
