//! The **assets**: what a page loads, embedded in the binary and the same for everybody.

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use crate::etag::Etag;

/// A file with its media type.
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset {
        path: "/settings.css",
        kind: STYLE,
        text: include_str!("../assets/settings.css"),
    },
    Asset {
        path: "/settings.js",
        kind: SCRIPT,
        text: include_str!("../assets/settings.js"),
    },
];

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let etag = Etag::new(&version(asset.text));
        let answer = move |headers: HeaderMap| async move { asset.answer(&etag, &headers) };
        router.route(asset.path, get(answer))
    })
}

impl Asset {
    /// Kept by a browser and asked about each time: a new release is seen at once.
    fn answer(&self, etag: &Etag, asked: &HeaderMap) -> Response {
        let said = [
            etag.header(),
            (
                header::CACHE_CONTROL,
                HeaderValue::from_static("public, no-cache"),
            ),
            (header::CONTENT_TYPE, HeaderValue::from_static(self.kind)),
        ];
        if etag.is_known(asked) {
            return (StatusCode::NOT_MODIFIED, said).into_response();
        }
        (said, self.text).into_response()
    }
}

fn version(text: &str) -> String {
    let digest = Sha256::digest(text);
    let (head, _) = digest
        .split_first_chunk::<8>()
        .expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*head))
}
