//! The dedup ledger: the listed windows, and their release.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::tour::{Tour, request, totals};

#[tokio::test]
async fn a_window_is_listed_with_its_key_and_its_time() {
    let tour = Tour::start().await;
    tour.fire("org.member.role_changed").await;
    tour.fire("org.member.role_changed").await;
    let ledger = tour.get("/api/dedup").await.json;
    let [window] = ledger.as_array().unwrap().as_slice() else {
        panic!("one window: {ledger}");
    };
    assert_eq!(window["eventType"], "org.member.role_changed");
    assert_eq!(window["dedupKey"], "mem_7:admin");
    assert_eq!(window["recipientUserId"], "u_ada");
    let time = |name: &str| {
        window[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let length = time("windowEndsAt") - time("firedAt");
    assert_eq!(length.get_seconds(), 60);
    assert!((50_000..=60_000).contains(&window["millisecondsLeft"].as_i64().unwrap()));
}

#[tokio::test]
async fn after_a_release_the_next_dispatch_is_not_a_repeat() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    let empty = request(Method::POST, "/api/dedup/release")
        .body(Body::empty())
        .unwrap();
    assert_eq!(tour.send(empty).await.json, json!({ "released": 1 }));
    assert_eq!(tour.get("/api/dedup").await.json, json!([]));
    assert_eq!(
        totals(&tour.fire("org.invitation.sent").await),
        json!([2, 0, 0])
    );
}

#[tokio::test]
async fn only_the_named_windows_are_released() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    tour.fire("org.member.role_changed").await;
    for (which, released) in [
        (
            json!({ "eventType": "org.invitation.sent", "recipientUserId": "u_ben" }),
            0,
        ),
        (json!({ "dedupKey": "no such key" }), 0),
        (json!({ "eventType": "org.invitation.sent" }), 1),
        (json!({}), 1),
    ] {
        let answer = tour.post("/api/dedup/release", which).await;
        assert_eq!(answer.json, json!({ "released": released }));
    }
    let answer = tour
        .post("/api/dedup/release", json!({ "dedupKey": "a\0" }))
        .await;
    answer.expect_problem(422, "INVALID_INPUT");
}
