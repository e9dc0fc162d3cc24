//! Invalid or hostile requests: queries, bodies, and too many of them.

use axum::body::Body;
use axum::http::Method;
use campanile_tests::database::run;
use campanile_tests::{Kind, both_databases};
use campanile_web::Settings;
use serde_json::json;
use uuid::Uuid;

use crate::cases::{CASES, Taken};
use crate::site::{Site, request, with_json};

/// Every route that changes something, except the page's form, which has a test of its own.
fn takes_json() -> impl Iterator<Item = (Method, String)> {
    let taken = Taken {
        id: Uuid::nil().to_string(),
        as_of: String::new(),
        version: "0".into(),
        cursor: String::new(),
    };
    let cases = CASES.iter().filter(|case| !case.is_safe());
    cases
        .filter(move |case| !case.takes_a_form(&taken))
        .map(|case| {
            (
                case.method(),
                case.path.replace("{id}", &Uuid::nil().to_string()),
            )
        })
}

both_databases! {
    async fn a_query_that_cannot_be_used_is_refused(site: Site) {
        for limit in ["0", "101", "-1", "1.5", "1e2", "", "ten", "18446744073709551616", "%00"] {
            site.get("u_ada", &format!("/inbox?limit={limit}")).await.expect_problem(400, "invalid-limit");
        }
        for limit in ["1", "100"] {
            site.get("u_ada", &format!("/inbox?limit={limit}")).await.expect(200);
        }
        let long = "A".repeat(5_000);
        for cursor in ["", "x", "AQ", "c1018f", "%00", "%ff", "' or 1=1 --", "../..", &long] {
            let cursor = cursor.replace(' ', "%20");
            site.get("u_ada", &format!("/inbox?cursor={cursor}")).await.expect_problem(400, "invalid-cursor");
        }
        for query in ["status=new", "status=", "status=ALL", "limit=1&limit=2", "category=", "org=", "category=%00", "org=a%0Ab"] {
            site.get("u_ada", &format!("/inbox?{query}")).await.expect_problem(400, "invalid-query");
        }
        site.get("u_ada", &format!("/inbox?category={}", &long[..256])).await.expect_problem(400, "invalid-query");
        site.get("u_ada", "/inbox?category=%27%3B%20drop%20table%20x&utm_source=mail").await.expect(200);
        site.get("u_ada", "/inbox/counts?org=").await.expect_problem(400, "invalid-query");
    }

    async fn a_body_that_cannot_be_used_is_refused(site: Site) {
        for (method, path) in takes_json() {
            let send = async |kind: &str, bytes: &[u8]| {
                let request = request(method.clone(), &path)
                    .header("x-session", "u_ada")
                    .header("if-match", "*")
                    .header("content-type", kind);
                site.send(request.body(Body::from(bytes.to_vec())).unwrap()).await
            };
            let json = "application/json";
            for broken in [&b""[..], b"{", b"{}{}", b"nul", &[b'['; 500], b"{\"read\":\"\xff\"}"] {
                send(json, broken).await.expect_problem(400, "malformed-body");
            }
            for shape in ["[1]", "[null, null]", "\"text\"", "1", "null", r#"{"surprise":1}"#, r#"{"read":"yes"}"#, r#"{"asOf":"x"}"#, r#"{"asOf":null}"#, r#"{"asOf":"9:7:","since":[]}"#] {
                send(json, shape.as_bytes()).await.expect_problem(422, "invalid-body");
            }
            send(json, " ".repeat(16 * 1024 + 1).as_bytes()).await.expect_problem(413, "body-too-large");
            for kind in ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "", "application/jsonp"] {
                send(kind, b"{}").await.expect_problem(415, "json-required");
            }
            assert_ne!(send("Application/JSON; charset=utf-8", b"{}").await.status, 415);
            let without = request(method.clone(), &path).header("x-session", "u_ada");
            let without = site.send(without.body(Body::from("{}")).unwrap()).await;
            without.expect_problem(415, "json-required");
        }
        let as_of = site.as_of("u_ada").await;
        let many = vec![Uuid::nil(); 101];
        let other = if as_of.as_str().unwrap().contains(':') { "7" } else { "7:7:" };
        for part in [
            json!({ "asOf": as_of, "category": "" }),
            json!({ "asOf": as_of, "category": "a\u{0}" }),
            json!({ "asOf": as_of, "org": "" }),
            json!({ "asOf": as_of, "since": many }),
            json!({ "asOf": other }),
        ] {
            for path in ["/inbox/seen", "/inbox/read-all"] {
                site.post("u_ada", path, part.clone()).await.expect_problem(422, "invalid-body");
            }
        }
    }

    async fn only_a_user_over_the_rate_has_to_wait(site: Site) {
        let slow = site.another(Settings::default().rate(1, 3));
        for _ in 0..3 {
            slow.get("u_ada", "/inbox/counts").await.expect(200);
        }
        // If the test is delayed for a second, one more request is allowed.
        let mut refused = slow.get("u_ada", "/inbox/counts").await;
        while refused.status == 200 {
            refused = slow.get("u_ada", "/preferences").await;
        }
        refused.expect_problem(429, "too-many-requests");
        assert_eq!(refused.headers["retry-after"], "1");
        slow.get("u_bob", "/inbox/counts").await.expect(200);
    }
}

#[test]
fn a_database_failure_does_not_leak_details() {
    run(Kind::Postgres, async |database| {
        let site = Site::with(database, Settings::default()).await;
        let campanile::database::Pool::Postgres(pool) = site.app.database.database.pool() else {
            panic!("this is Postgres");
        };
        pool.close().await;
        let body = json!({ "read": true });
        let item = format!("/inbox/{}", Uuid::nil());
        let change = with_json(Method::PATCH, "u_ada", &item, &body);
        for answer in [site.get("u_ada", "/inbox").await, site.send(change).await] {
            answer.expect_problem(500, "internal");
            assert_eq!(answer.json["detail"], "the app's log has the details");
        }
    });
}
