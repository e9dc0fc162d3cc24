//! Who may talk to the inspector.

use axum::body::Body;
use axum::http::{Method, Request};
use campanile_inspector::{Access, Reach};

use crate::tour::{Tour, request};

fn release() -> axum::http::request::Builder {
    request(Method::POST, "/api/dedup/release")
}

#[tokio::test]
async fn a_name_that_is_not_this_machines_is_refused() {
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
async fn a_page_of_another_origin_changes_nothing() {
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
    // The page holds nothing of anybody, and asks for the token by its own address.
    assert_eq!(tour.get("/").await.status, 200);
}
