//! A request for each route of the document. A route without a case here fails the tests.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};

use crate::site::{Site, request};

pub(crate) struct Case {
    method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    body: fn(&Taken) -> Said,
}

pub(crate) enum Said {
    Nothing,
    Json(Value),
    Form(String),
}

/// Values of a user's that a route may take.
pub(crate) struct Taken {
    /// The id of an item.
    pub(crate) id: String,
    /// When the feed was read.
    pub(crate) as_of: String,
    /// The version of the preferences.
    pub(crate) version: String,
    /// The cursor of the second page of the feed.
    pub(crate) cursor: String,
}

pub(crate) const CASES: &[Case] = &[
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
        body: |case| Said::Json(json!({ "asOf": case.as_of, "since": [case.id] })),
    },
    Case {
        method: "post",
        path: "/inbox/read-all",
        status: 200,
        body: |case| Said::Json(json!({ "asOf": case.as_of, "since": [case.id] })),
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
        body: |case| {
            let version = &case.version;
            let form = format!("category=team&channel=inbox&enabled=false&version={version}");
            Said::Form(form)
        },
    },
];

impl Case {
    pub(crate) fn is_safe(&self) -> bool {
        self.method == "get"
    }

    pub(crate) fn method(&self) -> Method {
        self.method.to_uppercase().parse().unwrap()
    }

    pub(crate) fn takes_a_form(&self, taken: &Taken) -> bool {
        matches!((self.body)(taken), Said::Form(_))
    }

    pub(crate) fn request(&self, user: Option<&str>, taken: &Taken) -> Request<Body> {
        // Parameters that anybody can set must not decide who the user is.
        let mut path =
            self.path.replace("{id}", &taken.id) + "?user=u_bob&user_id=u_bob&userId=u_bob";
        if self.path == "/inbox" {
            path = format!("{path}&cursor={}", taken.cursor);
        }
        let mut request = request(self.method(), &path);
        if !self.is_safe() {
            request = request.header("if-match", format!("\"{}\"", taken.version));
        }
        if let Some(user) = user {
            request = request.header("x-session", user);
        }
        match (self.body)(taken) {
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

impl Taken {
    /// Sends a user two notifications, and collects their values.
    pub(crate) async fn from(site: &Site, user: &str, title: &str) -> Self {
        site.tell(user, &format!("{title} before")).await;
        let id = site.tell(user, title).await;
        let page = site.get(user, "/inbox?limit=1").await;
        let preferences = site.get(user, "/preferences").await;
        Self {
            id,
            version: preferences.etag().trim_matches('"').to_owned(),
            as_of: page.json["asOf"].as_str().unwrap().to_owned(),
            cursor: page.json["next"].as_str().unwrap().to_owned(),
        }
    }
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
