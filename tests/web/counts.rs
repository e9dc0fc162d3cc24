//! `GET /inbox/counts`: cheap to poll.

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;
use serde_json::json;

use crate::site::{Answer, Site, request};

async fn ask(site: &Site, known: &str) -> Answer {
    let request = request(Method::GET, "/inbox/counts")
        .header("x-session", "u_ada")
        .header("if-none-match", known);
    site.send(request.body(Body::empty()).unwrap()).await
}

both_databases! {
    async fn known_counts_are_not_sent_again(site: Site) {
        let first = site.get("u_ada", "/inbox/counts").await;
        assert_eq!(first.expect(200), &json!({ "unread": 0, "unseen": 0, "total": 0, "badge": "0" }));
        assert_eq!(first.headers["cache-control"], "private, no-cache");
        let known = ask(&site, first.etag()).await;
        assert_eq!((known.status.as_u16(), known.text.as_str(), known.etag()), (304, "", first.etag()));
        for (said, status) in [
            (format!("\"0\", {}", first.etag()), 304),
            (format!("W/{}", first.etag()), 304),
            ("*".to_owned(), 304),
            (first.etag().trim_matches('"').to_owned(), 200),
            ("\"0\"".to_owned(), 200),
            (String::new(), 200),
        ] {
            assert_eq!(ask(&site, &said).await.status.as_u16(), status, "{said}");
        }
        site.tell("u_bob", "his").await;
        ask(&site, first.etag()).await.expect(304);
        site.tell("u_ada", "hers").await;
        let second = ask(&site, first.etag()).await;
        assert_eq!(second.expect(200)["badge"], "1");
        let shown = json!({ "asOf": site.as_of("u_ada").await });
        site.post("u_ada", "/inbox/seen", shown).await.expect(200);
        assert_eq!(ask(&site, second.etag()).await.expect(200)["unseen"], 0);
    }

    async fn a_badge_shows_99_plus_for_a_hundred_or_more(site: Site) {
        let database = &site.app.database;
        database.fill_inbox_of("u_ada", 210).await;
        let answer = site.get("u_ada", "/inbox/counts").await;
        assert_eq!(answer.expect(200), &json!({ "unread": 100, "unseen": 84, "total": 100, "badge": "99+" }));
        assert_eq!(site.get("u_ada", "/inbox").await.json["counts"], answer.json);
    }
}
