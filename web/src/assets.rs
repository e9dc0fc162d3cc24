//! The **assets**: the files that a page loads, embedded in the binary and the same for every user.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum_extra::TypedHeader;
use axum_extra::headers::ETag;
use sha2::{Digest as _, Sha256};

use crate::etag::{Known, etag, is_known};

/// A file with its media type.
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const TYPES: &str = "application/typescript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset {
        path: "/bell.js",
        kind: SCRIPT,
        text: include_str!("../assets/bell.js"),
    },
    Asset {
        path: "/bell.d.ts",
        kind: TYPES,
        text: include_str!("../assets/bell.d.ts"),
    },
    Asset {
        path: "/bell-parts.js",
        kind: SCRIPT,
        text: include_str!("../assets/bell-parts.js"),
    },
    Asset {
        path: "/bell-style.js",
        kind: SCRIPT,
        text: include_str!("../assets/bell-style.js"),
    },
    Asset {
        path: "/bell-texts.js",
        kind: SCRIPT,
        text: include_str!("../assets/bell-texts.js"),
    },
    Asset {
        path: "/inbox.js",
        kind: SCRIPT,
        text: include_str!("../assets/inbox.js"),
    },
    Asset {
        path: "/inbox.d.ts",
        kind: TYPES,
        text: include_str!("../assets/inbox.d.ts"),
    },
    Asset {
        path: "/live.js",
        kind: SCRIPT,
        text: include_str!("../assets/live.js"),
    },
    Asset {
        path: "/settings.js",
        kind: SCRIPT,
        text: include_str!("../assets/settings.js"),
    },
    Asset {
        path: "/settings.css",
        kind: STYLE,
        text: include_str!("../assets/settings.css"),
    },
];

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let text = Bytes::from(asset.served());
        let etag = etag(&version(&text));
        let kind = HeaderValue::from_static(asset.kind);
        let answer = move |known: Known| async move { answer(etag, kind, text, known) };
        router.route(asset.path, get(answer))
    })
}

impl Asset {
    /// The text as it is served: a script without its comments and indentation, which are a quarter of its size. Line numbers do
    /// not change.
    fn served(&self) -> String {
        if self.kind != SCRIPT {
            return self.text.to_owned();
        }
        let lines = self.text.lines().map(str::trim_start);
        let kept = lines.map(|line| if line.starts_with("//") { "" } else { line });
        kept.collect::<Vec<_>>().join("\n")
    }
}

/// Browsers keep it and revalidate it on each load, so that a new release is used at once.
fn answer(etag: ETag, kind: HeaderValue, text: Bytes, known: Known) -> Response {
    let headers = [
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, no-cache"),
        ),
        (header::CONTENT_TYPE, kind),
    ];
    let is_known = is_known(&etag, known);
    let headers = (TypedHeader(etag), headers);
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, text).into_response()
}

fn version(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    let (head, _) = digest
        .split_first_chunk::<8>()
        .expect("a digest has 32 bytes");
    format!("{:016x}", u64::from_be_bytes(*head))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// The maximum size of the bell, style included, as a server with the usual settings compresses it.
    const MAX_SIZE: usize = 16_000;

    /// A script and everything it imports.
    fn loaded(path: &str, found: &mut BTreeMap<&'static str, usize>) {
        let asset = ASSETS.iter().find(|asset| asset.path == path);
        let asset = asset.unwrap_or_else(|| panic!("{path} is not served"));
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(asset.served().as_bytes()).unwrap();
        found.insert(asset.path, gzip.finish().unwrap().len());
        for import in asset.text.split(" from \".").skip(1) {
            let (other, _) = import.split_once('"').unwrap();
            if !found.contains_key(other) {
                loaded(other, found);
            }
        }
    }

    #[test]
    fn the_bell_and_its_imports_stay_below_16_kb() {
        let mut found = BTreeMap::new();
        loaded("/bell.js", &mut found);
        assert!(found.contains_key("/live.js"), "{found:?}");
        let size: usize = found.values().sum();
        assert!(size < MAX_SIZE, "{size} bytes: {found:?}");
    }
}
