//! Every route of the table, for whom it is and for whom it is not. A route without a case here fails.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use campanile_tests::both_databases;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site::{Answer, Site, request};

/// How a route is asked, given an id or, where there is none in it, the version of the preferences.
struct Case {
    method: &'static str,
    path: &'static str,
    status: u16,
    body: fn(&str) -> Said,
}

enum Said {
    Nothing,
    Json(Value),
    Form(String),
}

const CASES: &[Case] = &[
    Case {
        method: "get",
        path: "/inbox",
        status: 200,
        body: |_| Said::Nothing,
    },
    Case {
        method: "get",
        path: "/inbox/counts",
        status: 200,
        body: |_| Said::Nothing,
    },
    Case {
        method: "patch",
        path: "/inbox/{id}",
        status: 200,
        body: |_| Said::Json(json!({ "read": true, "archived": true })),
    },
    Case {
        method: "post",
        path: "/inbox/seen",
        status: 200,
        body: |id| Said::Json(json!({ "upTo": id })),
    },
    Case {
        method: "post",
        path: "/inbox/read-all",
        status: 200,
        body: |id| Said::Json(json!({ "upTo": id })),
    },
    Case {
        method: "get",
        path: "/inbox/events",
        status: 200,
        body: |_| Said::Nothing,
    },
    Case {
        method: "get",
        path: "/preferences",
        status: 200,
        body: |_| Said::Nothing,
    },
    Case {
        method: "patch",
        path: "/preferences",
        status: 200,
        body: |_| Said::Json(json!({ "category": "team", "channel": "email", "enabled": false })),
    },
    Case {
        method: "get",
        path: "/settings",
        status: 200,
        body: |_| Said::Nothing,
    },
    Case {
        method: "post",
        path: "/settings",
        status: 303,
        body: |version| {
            let form = format!("category=team&channel=inbox&enabled=false&version={version}");
            Said::Form(form)
        },
    },
];

impl Case {
    fn request(&self, user: Option<&str>, id: &str) -> Request<Body> {
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes()).unwrap();
        // What anybody can set says nothing about who they are.
        let path = self.path.replace("{id}", id) + "?user=u_bob&user_id=u_bob&userId=u_bob";
        let mut request = request(method, &path).header("if-match", "*");
        if let Some(user) = user {
            request = request.header("x-session", user);
        }
        match (self.body)(id) {
            Said::Nothing => request.body(Body::empty()),
            Said::Json(body) => request
                .header("content-type", "application/json")
                .body(body.to_string().into()),
            Said::Form(body) => request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.into()),
        }
        .unwrap()
    }
}

/// What a case takes of a user's: an item, or the version of the preferences where the path has none.
async fn taken(site: &Site, case: &Case, user: &str) -> String {
    let id = site.tell(user, case.path).await;
    if case.status == 303 {
        let preferences = site.get(user, "/preferences").await;
        return preferences.etag().trim_matches('"').to_owned();
    }
    id
}

/// Everything there is of a user's.
async fn state(site: &Site, user: &str) -> String {
    let mut state = site.get(user, "/inbox").await.text;
    for path in ["/inbox?status=archived", "/preferences"] {
        state += &site.get(user, path).await.text;
    }
    state
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), &answer.text)
}

#[test]
fn every_route_has_a_case() {
    let document = serde_json::to_value(campanile_web::openapi()).unwrap();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            routes.insert((method.clone(), path.clone()));
        }
    }
    let cases = CASES
        .iter()
        .map(|case| (case.method.to_owned(), case.path.to_owned()));
    assert_eq!(routes, cases.collect());
}

both_databases! {
    async fn every_route_answers_whoever_is_signed_in_and_nobody_else(site: Site) {
        for case in CASES {
            let ids = [taken(&site, case, "u_ada").await, taken(&site, case, "u_bob").await];
            for (user, id) in ["u_ada", "u_bob"].into_iter().zip(&ids) {
                site.send(case.request(Some(user), id)).await.expect(case.status);
            }
            let nobody = site.send(case.request(None, &ids[0])).await;
            assert_eq!(told(&nobody), (401, ""), "{} {}", case.method, case.path);
            let broken = site.send(case.request(Some(""), &ids[0])).await;
            broken.expect_problem(500, "internal");
        }
    }

    async fn no_route_reads_or_changes_what_is_another_users(site: Site) {
        let mut secret = site.tell("u_bob", "a secret").await;
        let before = state(&site, "u_bob").await;
        for case in CASES {
            let missing = Uuid::now_v7().to_string();
            let foreign = site.send(case.request(Some("u_ada"), &secret)).await;
            let missing = site.send(case.request(Some("u_ada"), &missing)).await;
            assert_eq!(told(&foreign), told(&missing), "{} {}", case.method, case.path);
            assert!(!foreign.text.contains("a secret"), "{}", foreign.text);
            assert_eq!(state(&site, "u_bob").await, before, "{} {}", case.method, case.path);
            if case.path.contains("{id}") {
                foreign.expect_problem(404, "unknown-notification");
            }
        }
        secret.make_ascii_uppercase();
        site.patch("u_bob", &format!("/inbox/{secret}"), json!({ "read": true })).await.expect(200);
        assert_ne!(state(&site, "u_bob").await, before);
    }

    async fn a_session_in_an_organization_sees_and_changes_only_what_happened_there(site: Site) {
        let here = site.tell_in("u_ada", "here", "org_1").await;
        let there = site.tell_in("u_ada", "there", "org_2").await;
        let send = async |method: Method, path: &str, body: Value| {
            let request = request(method, path).header("x-session", "u_ada").header("x-org", "org_1");
            let request = request.header("content-type", "application/json");
            site.send(request.body(body.to_string().into()).unwrap()).await
        };
        let page = send(Method::GET, "/inbox", Value::Null).await;
        assert_eq!((page.titles(), &page.json["counts"]["total"]), (vec!["here"], &json!(1)));
        send(Method::GET, "/inbox?org=org_1", Value::Null).await.expect(200);
        for (method, path, body) in [
            (Method::GET, "/inbox?org=org_2", Value::Null),
            (Method::GET, "/inbox/counts?org=org_2", Value::Null),
            (Method::GET, "/inbox/events?org=org_2", Value::Null),
            (Method::POST, "/inbox/read-all", json!({ "upTo": there, "org": "org_2" })),
            (Method::POST, "/inbox/seen", json!({ "upTo": there, "org": "org_2" })),
        ] {
            send(method, path, body).await.expect_problem(403, "other-organization");
        }
        let read = json!({ "read": true });
        send(Method::PATCH, &format!("/inbox/{there}"), read.clone()).await.expect_problem(404, "unknown-notification");
        send(Method::PATCH, &format!("/inbox/{here}"), read).await.expect(200);
        send(Method::POST, "/inbox/read-all", json!({ "upTo": there })).await.expect(200);
        // Without an organization in the session all is seen, and can be narrowed.
        let all = site.get("u_ada", "/inbox?status=unread").await;
        assert_eq!(all.titles(), ["there"]);
        assert_eq!(site.get("u_ada", "/inbox?org=org_1").await.titles(), ["here"]);
    }

    async fn what_is_not_there_is_a_problem_too(site: Site) {
        let answer = site.send(request(Method::DELETE, "/inbox").header("x-session", "u_ada").body(Body::empty()).unwrap()).await;
        answer.expect_problem(405, "method-not-allowed");
        assert!(answer.headers["allow"].to_str().unwrap().contains("GET"));
        for id in ["x", "1", "%00", "..%2f", &"9".repeat(300)] {
            let answer = site.patch("u_ada", &format!("/inbox/{id}"), json!({ "read": true })).await;
            answer.expect_problem(404, "unknown-notification");
        }
    }
}
