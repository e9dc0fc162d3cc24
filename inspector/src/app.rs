//! The **app**: one router for the page, the API and campanile-web's routes of each person, with the layers that refuse
//! unauthorized requests.

use std::any::Any;
use std::future::Future;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::access::{Access, check_host, check_token, check_token_or_cookie};
use crate::anybody::Anybody;
use crate::body::MAX_BODY;
use crate::inspector::Inspector;
use crate::problem::Problem;
use crate::{api, page};

/// Allows only scripts, styles and requests of the inspector itself; text is never markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'",
);

/// The inspector as a router, for callers that `access` admits. Live connections end when `shutdown` is ready.
pub fn app(
    inspector: Inspector,
    access: Access,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Router {
    let token = from_fn_with_state(access.clone(), check_token);
    let token_or_cookie = from_fn_with_state(access.clone(), check_token_or_cookie);
    let settings = campanile_web::Settings::default().shutdown(shutdown);
    let dispatcher = inspector.dispatcher().clone();
    let of_a_person = campanile_web::router::<Inspector, Anybody>(dispatcher, settings);
    Router::new()
        .nest("/api", api::routes().layer(token))
        .nest("/as/{person}", of_a_person.layer(token_or_cookie))
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CsrfLayer::new().with_rejection_response(cross_origin))
        .layer(from_fn_with_state(access, check_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(harden))
        .with_state(inspector)
}

async fn not_found() -> Problem {
    Problem::not_found("NOT_FOUND", "there is nothing at this path")
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "this path does not support the method; the header `Allow` lists the supported ones",
    )
}

/// Refuses a request that a browser sends for a page of another origin, which a header says. Scripts do not send that header.
fn cross_origin(_: ProtectionError) -> Response {
    Problem::new(
        StatusCode::FORBIDDEN,
        "CROSS_ORIGIN",
        "only the inspector's own page and scripts may change anything",
    )
    .into_response()
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape of a panic handler"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    tracing::error!(message, "a request panicked");
    Problem::internal().into_response()
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // The preview of a mail and the settings page have policies of their own, and the page shows them in frames.
    let has_own = headers.contains_key(CONTENT_SECURITY_POLICY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(POLICY);
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    let framing = if has_own { "SAMEORIGIN" } else { "DENY" };
    for (name, value) in [
        (X_FRAME_OPTIONS, framing),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
