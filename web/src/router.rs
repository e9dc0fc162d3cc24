//! The **router**: the host's extractor on the outside, campanile's own routes inside.
//!
//! Two routers know each path. The outer one has the host's state, so the host's extractor runs there. It passes the caller and
//! the bare request to the inner one, which knows nothing of the host: the host's extensions and path parameters do not reach a
//! handler.

use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request};
use axum::http::{Extensions, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use campanile::Dispatcher;
use tower::ServiceExt as _;
use tower_http::csrf::{CsrfLayer, ProtectionError};
use utoipa::openapi::OpenApi;

use crate::api;
use crate::assets;
use crate::body::MAX_BODY;
use crate::caller::Caller;
use crate::openapi::{self, complete};
use crate::problem::{CROSS_ORIGIN, METHOD_NOT_ALLOWED, Problem, TOO_MANY_REQUESTS};
use crate::settings::Settings;
use crate::state::Web;
use crate::viewer::Viewer;

/// The routes, to nest in a host's app: `.nest("/notifications", router::<_, CurrentUser>(dispatcher, settings))`.
///
/// `S` is the state of the host's router, `V` its extractor of the signed-in user; without one a request gets the extractor's own
/// rejection. The API's description is public. Other paths are answered by the host's own fallback.
///
/// # Panics
///
/// Never: the settings were checked when they were made.
pub fn router<S, V>(dispatcher: Dispatcher, settings: Settings) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    V: Viewer + FromRequestParts<S>,
{
    let csrf = csrf(&settings);
    let web = Web::new(dispatcher, settings);
    let (inner, document) = api::routes().split_for_parts();
    let document = complete(document);
    let inner: Router = inner
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(web.clone());
    let mut outer = Router::new();
    for path in document.paths.paths.keys() {
        let (inner, web) = (inner.clone(), web.clone());
        let pass = move |viewer: V, request: Request| pass(web, inner, viewer, request);
        outer = outer.route(path, any(pass));
    }
    let json = openapi::json(&document);
    outer
        .route("/openapi.json", get(move || async move { json }))
        .merge(assets::routes())
        .method_not_allowed_fallback(method_not_allowed)
        .layer(csrf)
        .layer(map_response(harden))
}

/// The API's description in `OpenAPI` 3.1, as `GET /openapi.json` returns it.
#[must_use]
pub fn openapi() -> OpenApi {
    complete(api::routes().into_openapi())
}

async fn pass<V: Viewer>(web: Web, inner: Router, viewer: V, mut request: Request) -> Response {
    let caller = match Caller::of(&viewer) {
        Ok(caller) => caller,
        Err(error) => {
            tracing::error!(target: "campanile", %error, "the host's viewer has an invalid id");
            return Problem::internal().into_response();
        }
    };
    if let Err(wait) = web.rate.admit(caller.user(), Instant::now()) {
        let seconds = wait.as_secs() + 1;
        return Problem::new(
            TOO_MANY_REQUESTS,
            "send fewer requests, and try again later",
        )
        .after(seconds)
        .into_response();
    }
    *request.extensions_mut() = Extensions::new();
    request.extensions_mut().insert(caller);
    inner.oneshot(request).await.into_response()
}

/// Refuses requests of pages of other origins, which browsers mark with a header. Programs do not send that header.
fn csrf(
    settings: &Settings,
) -> CsrfLayer<impl Fn(ProtectionError) -> Response + Clone + Send + Sync + 'static> {
    let mut layer = CsrfLayer::new();
    for origin in &settings.trusted_origins {
        layer = layer
            .add_trusted_origin(origin)
            .expect("an origin was checked when it was set");
    }
    layer.with_rejection_response(|_| {
        Problem::new(
            CROSS_ORIGIN,
            "only pages of the app's own origin, and programs, may change anything",
        )
        .into_response()
    })
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        METHOD_NOT_ALLOWED,
        "the header `Allow` lists the methods of this path",
    )
}

/// Answers are private and must not be stored, unless the handler says otherwise.
async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
