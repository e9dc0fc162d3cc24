//! Every route of the table: who may use it, and who may not.

use axum::body::Body;
use axum::http::Method;
use campanile::preferences::Choice;
use campanile_tests::both_databases;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cases::{CASES, Taken};
use crate::site::{Answer, Site, request};

/// All data of a user, without the time of the read.
async fn state(site: &Site, user: &str) -> String {
    let mut state = String::new();
    for path in ["/inbox", "/inbox?status=archived", "/preferences"] {
        let mut read = site.get(user, path).await.json;
        read["asOf"] = Value::Null;
        state += &read.to_string();
    }
    state
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), &answer.text)
}

both_databases! {
    async fn every_route_answers_signed_in_users_only(site: Site) {
        for case in CASES {
            for user in ["u_ada", "u_bob"] {
                let taken = Taken::from(&site, user, case.path).await;
                site.send(case.request(Some(user), &taken)).await.expect(case.status);
                let nobody = site.send(case.request(None, &taken)).await;
                assert_eq!(told(&nobody), (401, ""), "{}", case.path);
                let broken = site.send(case.request(Some(""), &taken)).await;
                broken.expect_problem(500, "internal");
            }
        }
    }

    /// Ada and Cyd have the same items. Bob's values must have the same effect for Ada as values of nobody have for Cyd.
    async fn no_route_reads_or_changes_another_users_data(site: Site) {
        site.app.choose("u_bob", "team", "inbox", Choice::Off).await;
        for user in ["u_ada", "u_cyd"] {
            site.tell(user, "older").await;
        }
        let mut secret = Taken::from(&site, "u_bob", "a secret").await;
        for user in ["u_ada", "u_cyd"] {
            site.tell(user, "newer").await;
        }
        let beside = Uuid::from_u128(secret.id.parse::<Uuid>().unwrap().as_u128() + 1);
        let nobodys = Taken { id: beside.to_string(), as_of: secret.as_of.clone(), version: "0".into(), cursor: "c".into() };
        let before = state(&site, "u_bob").await;
        let preferences = site.get("u_ada", "/preferences").await.text;
        for case in CASES {
            let foreign = site.send(case.request(Some("u_ada"), &secret)).await;
            let missing = site.send(case.request(Some("u_cyd"), &nobodys)).await;
            assert_eq!(told(&foreign), told(&missing), "{}", case.path);
            assert!(!foreign.text.contains("a secret"), "{}", foreign.text);
            assert_eq!(state(&site, "u_bob").await, before, "{}", case.path);
            match (case.path, case.is_safe()) {
                ("/inbox", _) => foreign.expect_problem(400, "invalid-cursor"),
                ("/inbox/{id}", _) => foreign.expect_problem(404, "unknown-notification"),
                ("/preferences" | "/settings", false) => assert_eq!(foreign.status.as_u16(), 412, "{}", foreign.text),
                _ => assert_eq!(foreign.status.as_u16(), 200, "{}", foreign.text),
            }
        }
        // Only items up to the named id were marked: an id is only a point in time.
        for user in ["u_ada", "u_cyd"] {
            let page = site.get(user, "/inbox").await;
            let items = page.json["items"].as_array().unwrap().iter();
            let marks = items.map(|item| ["seenAt", "readAt", "archivedAt"].map(|at| !item[at].is_null()));
            assert_eq!((page.titles(), marks.collect()), (vec!["newer", "older"], vec![[false; 3], [true, true, false]]));
        }
        assert_eq!(site.get("u_ada", "/preferences").await.text, preferences);
        secret.id.make_ascii_uppercase();
        site.patch("u_bob", &format!("/inbox/{}", secret.id), json!({ "read": true })).await.expect(200);
        assert_ne!(state(&site, "u_bob").await, before);
    }

    async fn a_session_in_an_organization_sees_and_changes_only_its_items(site: Site) {
        let here = site.tell_in("u_ada", "here", "org_1").await;
        let there = site.tell_in("u_ada", "there", "org_2").await;
        let send = async |method: Method, path: &str, body: Value| {
            let request = request(method, path).header("x-session", "u_ada").header("x-org", "org_1");
            let request = request.header("content-type", "application/json");
            site.send(request.body(body.to_string().into()).unwrap()).await
        };
        let page = send(Method::GET, "/inbox", Value::Null).await;
        assert_eq!((page.titles(), &page.json["counts"]["total"]), (vec!["here"], &json!(1)));
        let as_of = page.json["asOf"].clone();
        send(Method::GET, "/inbox?org=org_1", Value::Null).await.expect(200);
        for (method, path, body) in [
            (Method::GET, "/inbox?org=org_2", Value::Null),
            (Method::GET, "/inbox/counts?org=org_2", Value::Null),
            (Method::GET, "/inbox/events?org=org_2", Value::Null),
            (Method::POST, "/inbox/read-all", json!({ "asOf": as_of, "since": [there], "org": "org_2" })),
            (Method::POST, "/inbox/seen", json!({ "asOf": as_of, "since": [there], "org": "org_2" })),
        ] {
            send(method, path, body).await.expect_problem(403, "other-organization");
        }
        let read = json!({ "read": true });
        send(Method::PATCH, &format!("/inbox/{there}"), read.clone()).await.expect_problem(404, "unknown-notification");
        send(Method::PATCH, &format!("/inbox/{here}"), read).await.expect(200);
        send(Method::POST, "/inbox/read-all", json!({ "asOf": as_of, "since": [there] })).await.expect(200);
        // Without an organization in the session all items are visible, and can be narrowed.
        let all = site.get("u_ada", "/inbox?status=unread").await;
        assert_eq!(all.titles(), ["there"]);
        assert_eq!(site.get("u_ada", "/inbox?org=org_1").await.titles(), ["here"]);
    }

    async fn unknown_methods_and_ids_are_problems(site: Site) {
        let answer = site.send(request(Method::DELETE, "/inbox").header("x-session", "u_ada").body(Body::empty()).unwrap()).await;
        answer.expect_problem(405, "method-not-allowed");
        assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
        for id in ["x", "1", "%00", "..%2f", &"9".repeat(300)] {
            let answer = site.patch("u_ada", &format!("/inbox/{id}"), json!({ "read": true })).await;
            answer.expect_problem(404, "unknown-notification");
        }
    }
}
