//! The **page**: one document, its styles and its scripts, embedded in the binary.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::{MethodRouter, get};

use crate::inspector::Inspector;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The document at `/` and what it loads.
pub(crate) fn routes() -> Router<Inspector> {
    Router::new()
        .route("/", file(HTML, include_str!("../page/index.html")))
        .route(
            "/page/page.css",
            file(CSS, include_str!("../page/page.css")),
        )
        .route(
            "/page/parts.css",
            file(CSS, include_str!("../page/parts.css")),
        )
        .route(
            "/page/icon.svg",
            file(SVG, include_str!("../page/icon.svg")),
        )
        .route(
            "/page/main.js",
            file(SCRIPT, include_str!("../page/main.js")),
        )
        .route("/page/api.js", file(SCRIPT, include_str!("../page/api.js")))
        .route("/page/dom.js", file(SCRIPT, include_str!("../page/dom.js")))
        .route(
            "/page/events.js",
            file(SCRIPT, include_str!("../page/events.js")),
        )
        .route(
            "/page/fire.js",
            file(SCRIPT, include_str!("../page/fire.js")),
        )
        .route(
            "/page/result.js",
            file(SCRIPT, include_str!("../page/result.js")),
        )
        .route(
            "/page/ledger.js",
            file(SCRIPT, include_str!("../page/ledger.js")),
        )
        .route(
            "/page/person.js",
            file(SCRIPT, include_str!("../page/person.js")),
        )
        .route(
            "/page/outside.js",
            file(SCRIPT, include_str!("../page/outside.js")),
        )
}

fn file(kind: &'static str, text: &'static str) -> MethodRouter<Inspector> {
    let kind = HeaderValue::from_static(kind);
    get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
}
