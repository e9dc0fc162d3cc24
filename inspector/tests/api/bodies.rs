//! Valid and invalid bodies, on every route that takes one.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::tour::{Tour, request, with_json};

const TAKE_A_BODY: [(Method, &str); 4] = [
    (Method::POST, "/api/dispatch"),
    (Method::POST, "/api/explain"),
    (Method::POST, "/api/dedup/release"),
    (Method::POST, "/api/channels/email/fail"),
];

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let tour = Tour::start().await;
    for (method, path) in TAKE_A_BODY {
        let raw = |kind: &str, bytes: Vec<u8>| {
            request(method.clone(), path)
                .header("content-type", kind)
                .body(Body::from(bytes))
                .unwrap()
        };
        let json = "application/json";
        for broken in [
            b"{".to_vec(),
            b"{}{}".to_vec(),
            b"nul".to_vec(),
            vec![b'['; 500],
            b"{\"type\":\"\xff\"}".to_vec(),
        ] {
            tour.send(raw(json, broken))
                .await
                .expect_problem(400, "MALFORMED_JSON");
        }
        let form = raw("application/x-www-form-urlencoded", b"a=b".to_vec());
        tour.send(form).await.expect_problem(415, "JSON_REQUIRED");
        let large = raw(json, vec![b' '; 256 * 1024 + 1]);
        tour.send(large).await.expect_problem(413, "BODY_TOO_LARGE");
    }
}

#[tokio::test]
async fn json_of_another_shape_is_refused() {
    let tour = Tour::start().await;
    for (method, path) in TAKE_A_BODY {
        for shape in [json!({ "surprise": 1 }), json!([1]), json!("text")] {
            let answer = tour.send(with_json(method.clone(), path, &shape)).await;
            answer.expect_problem(422, "INVALID_BODY");
        }
    }
}

#[tokio::test]
async fn a_charset_in_the_content_type_is_accepted() {
    let tour = Tour::start().await;
    let body = tour.example("org.invitation.sent").await.to_string();
    let request = request(Method::POST, "/api/dispatch")
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(body.into())
        .unwrap();
    assert_eq!(tour.send(request).await.status, 200);
}
