//! What pages load: for everybody, kept by a browser, and asked about again.

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;

use crate::site::{Site, request};

both_databases! {
    async fn an_asset_is_for_everybody_and_sent_again_only_when_it_has_changed(site: Site) {
        for (path, kind) in [("/settings.js", "text/javascript; charset=utf-8"), ("/settings.css", "text/css; charset=utf-8")] {
            let ask = async |etag: &str| {
                let request = request(Method::GET, path).header("if-none-match", etag);
                site.send(request.body(Body::empty()).unwrap()).await
            };
            let first = ask("\"other\"").await;
            assert_eq!((first.status.as_u16(), &first.headers["content-type"]), (200, &kind.parse().unwrap()));
            assert_eq!(first.headers["cache-control"], "public, no-cache");
            assert_eq!(first.headers["x-content-type-options"], "nosniff");
            let again = ask(first.etag()).await;
            assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
        }
    }
}
