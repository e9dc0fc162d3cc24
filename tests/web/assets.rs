//! The files that a host's page loads: the same for every user, and revalidated by browsers each time.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;

use crate::site::{Site, request};

const ASSETS: [(&str, &str); 10] = [
    ("/bell.js", "text/javascript; charset=utf-8"),
    ("/bell-parts.js", "text/javascript; charset=utf-8"),
    ("/bell-style.js", "text/javascript; charset=utf-8"),
    ("/bell-texts.js", "text/javascript; charset=utf-8"),
    ("/inbox.js", "text/javascript; charset=utf-8"),
    ("/live.js", "text/javascript; charset=utf-8"),
    ("/bell.d.ts", "application/typescript; charset=utf-8"),
    ("/inbox.d.ts", "application/typescript; charset=utf-8"),
    ("/settings.js", "text/javascript; charset=utf-8"),
    ("/settings.css", "text/css; charset=utf-8"),
];

/// The public paths: the assets, and the description of the API.
pub(crate) fn public() -> impl Iterator<Item = &'static str> {
    let assets = ASSETS.iter().map(|(path, _)| *path);
    assets.chain(["/openapi.json"])
}

#[test]
fn every_asset_has_a_case() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/assets");
    let files = std::fs::read_dir(folder).unwrap();
    let files: BTreeSet<_> = files
        .map(|file| format!("/{}", file.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert_eq!(
        files,
        ASSETS.iter().map(|(path, _)| (*path).to_owned()).collect()
    );
}

both_databases! {
    async fn an_asset_is_public_and_not_sent_again(site: Site) {
        for (path, kind) in ASSETS {
            let first = site.send(request(Method::GET, path).body(Body::empty()).unwrap()).await;
            first.expect(200);
            assert!(!first.text.is_empty(), "{path}");
            let said = ["content-type", "cache-control", "x-content-type-options"].map(|name| first.headers[name].to_str().unwrap());
            assert_eq!(said, [kind, "public, no-cache", "nosniff"], "{path}");
            let again = request(Method::GET, path).header("if-none-match", first.etag());
            let again = site.send(again.body(Body::empty()).unwrap()).await;
            assert_eq!((again.status.as_u16(), again.text.as_str(), again.etag()), (304, "", first.etag()), "{path}");
        }
    }
}
