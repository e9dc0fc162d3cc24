//! The input of a **request**: a JSON body, a form, a query. Input that cannot be parsed is a problem that says why.

use axum::Json;
use axum::extract::rejection::{BytesRejection, FormRejection, JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{
    BODY_TOO_LARGE, FORM_REQUIRED, INVALID_BODY, INVALID_QUERY, JSON_REQUIRED, MALFORMED_BODY,
    Problem,
};

/// The maximum size of a body, in bytes. Real ones have a few hundred.
pub(crate) const MAX_BODY: usize = 16 * 1024;

/// A JSON body. A form of another origin can post text without a CORS preflight, but not JSON.
pub(crate) struct Document<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // The syntax of the whole body is checked first, so that a missing brace is not reported as a missing field.
        let Json(body) = Json::<Value>::from_request(request, state).await?;
        // serde would accept an array as the fields of a struct, in order.
        if !body.is_object() {
            return Err(Problem::new(INVALID_BODY, "the body is not a JSON object"));
        }
        let document = serde_json::from_value(body).map(Self);
        document.map_err(|error| Problem::new(INVALID_BODY, error.to_string()))
    }
}

/// A form, as a page without JavaScript sends it. The router refuses forms of other origins.
pub(crate) struct Form<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form = axum::extract::Form::from_request(request, state).await?;
        Ok(Self(form.0))
    }
}

/// The query of a URL. Unknown parameters are ignored, because proxies and trackers add their own.
pub(crate) struct Search<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Search<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => Self::new(
                JSON_REQUIRED,
                "send the header `Content-Type: application/json`",
            ),
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            rejection => Self::new(MALFORMED_BODY, rejection.body_text()),
        }
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        match rejection {
            FormRejection::InvalidFormContentType(_) => Self::new(
                FORM_REQUIRED,
                "send the header `Content-Type: application/x-www-form-urlencoded`",
            ),
            FormRejection::BytesRejection(rejection) => rejection.into(),
            rejection => Self::new(INVALID_BODY, rejection.body_text()),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(INVALID_QUERY, rejection.body_text())
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let detail = format!("a body has at most {MAX_BODY} bytes");
            return Self::new(BODY_TOO_LARGE, detail);
        }
        Self::new(MALFORMED_BODY, "the body ended early")
    }
}
