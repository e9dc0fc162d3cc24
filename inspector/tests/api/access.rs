//! Who may call the inspector.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use campanile_inspector::{Access, Reach};
use serde_json::json;

use crate::tour::{Tour, request, with_json};

fn release() -> axum::http::request::Builder {
    request(Method::POST, "/api/dedup/release")
}

#[tokio::test]
async fn a_request_by_another_name_is_refused() {
    let tour = Tour::start().await;
    for host in [
        "evil.example",
        "evil.example:4700",
        "192.168.0.7",
        "localhost.evil.example",
        "a@localhost b",
    ] {
        let request = Request::get("/api/users")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        tour.send(request)
            .await
            .expect_problem(403, "HOST_NOT_ALLOWED");
    }
    let without = Request::get("/").body(Body::empty()).unwrap();
    tour.send(without)
        .await
        .expect_problem(403, "HOST_NOT_ALLOWED");
    let twice = request(Method::GET, "/")
        .header("host", "evil.example")
        .body(Body::empty())
        .unwrap();
    tour.send(twice)
        .await
        .expect_problem(403, "HOST_NOT_ALLOWED");
    for host in ["localhost:4700", "127.0.0.1", "[::1]:4700"] {
        let request = Request::get("/api/users")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        assert_eq!(tour.send(request).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_change_anything() {
    let tour = Tour::start().await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://evil.example"),
        ("origin", "http://127.0.0.1:9999"),
        ("origin", "null"),
    ] {
        let request = release().header(name, value).body(Body::empty()).unwrap();
        tour.send(request).await.expect_problem(403, "CROSS_ORIGIN");
    }
    let own_page = release()
        .header("sec-fetch-site", "same-origin")
        .header("origin", "http://127.0.0.1:4700")
        .body(Body::empty())
        .unwrap();
    assert_eq!(tour.send(own_page).await.status, 200);
    let script = release().body(Body::empty()).unwrap();
    assert_eq!(tour.send(script).await.status, 200);
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_turn_a_switch() {
    let tour = Tour::start().await;
    let body = json!({ "category": "team", "channel": "email", "enabled": false });
    let mut change = with_json(Method::PATCH, "/as/u_ada/preferences", &body);
    let site = HeaderValue::from_static("cross-site");
    change.headers_mut().insert("sec-fetch-site", site);
    tour.send(change).await.expect_problem(403, "CROSS_ORIGIN");
}

/// Sends a request with the token, and returns the value of the answer's cookie.
async fn cookie(tour: &Tour, token: &str) -> String {
    let request = request(Method::GET, "/api/users").header("x-campanile-token", token);
    let answer = tour.send(request.body(Body::empty()).unwrap()).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    let value = cookie.strip_prefix("campanile-person-4700=");
    let value = value.and_then(|it| it.strip_suffix("; Path=/as; HttpOnly; SameSite=Strict"));
    value.unwrap_or_else(|| panic!("{cookie}")).to_owned()
}

/// A component and an `EventSource` cannot send the header. The routes that they do not use still need it.
#[tokio::test]
async fn the_cookie_gives_access_to_a_persons_routes_only() {
    let access = Access::with_token(Reach::Loopback);
    let token = access.token().unwrap().to_owned();
    let tour = Tour::with_access(access).await;
    let cookie = cookie(&tour, &token).await;
    assert_ne!(cookie, token);
    let with = |path: &str, name: &str, value: &str| {
        let request = request(Method::GET, path).header(name, value);
        request.body(Body::empty()).unwrap()
    };
    for path in [
        "inbox",
        "inbox/events",
        "preferences",
        "settings",
        "bell.js",
    ] {
        let path = format!("/as/u_ada/{path}");
        tour.get(&path).await.expect_problem(401, "TOKEN_REQUIRED");
        for (name, value, status) in [
            ("cookie", format!("campanile-person-4700={cookie}"), 200),
            (
                "cookie",
                format!("theme=dark; campanile-person-1=old; campanile-person-2={cookie}"),
                200,
            ),
            ("cookie", format!("campanile-person-4700=1{cookie}"), 401),
            ("cookie", format!("campanile-person-4700={token}"), 401),
            ("cookie", format!("other={cookie}"), 401),
            ("cookie", "campanile-person-4700".to_owned(), 401),
            ("cookie", String::new(), 401),
            ("x-campanile-token", token.clone(), 200),
            ("x-campanile-token", cookie.clone(), 401),
        ] {
            let told = tour.begin(with(&path, name, &value)).await;
            assert_eq!(told, status, "{path}: {name}: {value}");
        }
    }
    // A browser may have sent the cookie to another server of this machine.
    for (name, value) in [
        ("cookie", format!("campanile-person-4700={cookie}")),
        ("cookie", format!("campanile-person-4700={token}")),
        ("x-campanile-token", cookie),
    ] {
        let refused = tour.send(with("/api/users", name, &value)).await;
        refused.expect_problem(401, "TOKEN_REQUIRED");
        assert!(!refused.headers.contains_key("set-cookie"), "{name}");
    }
}

#[tokio::test]
async fn without_a_token_there_is_no_cookie() {
    let tour = Tour::start().await;
    let answer = tour.get("/api/users").await;
    assert!(!answer.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn where_there_is_a_token_every_call_needs_it() {
    let access = Access::with_token(Reach::Loopback);
    let token = access.token().unwrap().to_owned();
    let tour = Tour::with_access(access).await;
    tour.get("/api/users")
        .await
        .expect_problem(401, "TOKEN_REQUIRED");
    for (token, status) in [(token.as_str(), 200), ("wrong", 401), ("", 401)] {
        let request = request(Method::GET, "/api/users")
            .header("x-campanile-token", token)
            .body(Body::empty())
            .unwrap();
        assert_eq!(tour.send(request).await.status, status);
    }
    // The page contains no data, and takes the token from its own address.
    assert_eq!(tour.get("/").await.status, 200);
}
