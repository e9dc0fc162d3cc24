//! The page, its files, the preview of a mail, and the headers of every answer.

use std::path::Path;

use axum::body::Body;
use axum::http::Method;

use crate::tour::{Tour, request};

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline() {
    let tour = Tour::start().await;
    let page = tour.get("/").await;
    assert_eq!(page.status, 200);
    assert!(
        !page.text.contains("<style")
            && !page.text.contains(" style=")
            && !page.text.contains("://")
    );
    let scripts: Vec<_> = page
        .text
        .lines()
        .filter(|line| line.contains("<script"))
        .collect();
    assert!(
        scripts.iter().all(|line| line.contains("src=\"/page/")),
        "{scripts:?}"
    );
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
}

#[tokio::test]
async fn every_file_of_the_page_is_served() {
    let tour = Tour::start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        if name == "index.html" {
            continue;
        }
        let answer = tour.get(&format!("/page/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        let kind = answer.headers["content-type"].to_str().unwrap();
        let expected = match name.rsplit('.').next().unwrap() {
            "js" => "text/javascript",
            "css" => "text/css",
            _ => "image/svg+xml",
        };
        assert!(kind.starts_with(expected), "{name}: {kind}");
    }
}

#[tokio::test]
async fn a_mail_is_previewed_under_a_policy_of_its_own() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    let mails = tour.get("/api/mails").await.json;
    let mail = &mails[0];
    assert_eq!(mail["subject"], "Ben Lindqvist invites you to Tower Works");
    assert!(mail["text"].as_str().unwrap().contains("You would join"));
    let preview = tour
        .get(&format!(
            "/api/mails/{}/preview",
            mail["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(preview.text, mail["html"].as_str().unwrap());
    assert_eq!(preview.headers["content-type"], "text/html; charset=utf-8");
    let policy = preview.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("sandbox; default-src 'none'"),
        "{policy}"
    );
    assert_eq!(preview.headers["x-frame-options"], "SAMEORIGIN");
    tour.get("/api/mails/cmp_no/preview")
        .await
        .expect_problem(404, "UNKNOWN_MAIL");
}

#[tokio::test]
async fn only_the_inspectors_page_may_frame_the_settings_page() {
    let tour = Tour::start().await;
    let settings = tour.get("/as/u_ada/settings").await;
    assert_eq!(settings.status, 200);
    assert!(settings.text.contains("Email for Team"));
    let policy = settings.headers["content-security-policy"]
        .to_str()
        .unwrap();
    assert!(policy.contains("frame-ancestors 'self'"), "{policy}");
    assert_eq!(settings.headers["x-frame-options"], "SAMEORIGIN");
}

#[tokio::test]
async fn the_bell_is_served_as_an_app_serves_it() {
    let tour = Tour::start().await;
    for name in ["bell.js", "inbox.js", "settings.js"] {
        let asset = tour.get(&format!("/as/u_ada/{name}")).await;
        assert_eq!(asset.status, 200, "{name}");
        assert_eq!(asset.headers["cache-control"], "public, no-cache", "{name}");
        assert_eq!(asset.headers["x-content-type-options"], "nosniff", "{name}");
        assert!(asset.headers.contains_key("etag"), "{name}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let tour = Tour::start().await;
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/users/u_ada/inbox",
        "/as/u_ada",
        "/as/u_ada/nothing",
        "/page/nothing.js",
        "/favicon.ico",
        "/../etc/passwd",
    ] {
        tour.get(path).await.expect_problem(404, "NOT_FOUND");
    }
    for (method, path) in [
        (Method::DELETE, "/api/users"),
        (Method::GET, "/api/dispatch"),
        (Method::POST, "/"),
    ] {
        let answer = tour
            .send(request(method, path).body(Body::empty()).unwrap())
            .await;
        answer.expect_problem(405, "METHOD_NOT_ALLOWED");
        assert!(answer.headers.contains_key("allow"), "{path}");
    }
    let of_a_person = request(Method::POST, "/as/u_ada/bell.js");
    let answer = tour.send(of_a_person.body(Body::empty()).unwrap()).await;
    let kind = answer.json["type"].as_str();
    assert_eq!(
        (answer.status.as_u16(), kind),
        (405, Some("urn:campanile:problem:method-not-allowed"))
    );
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let tour = Tour::start().await;
    for path in ["/", "/page/main.js", "/api/users", "/api/nothing"] {
        let headers = tour.get(path).await.headers;
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert!(headers.contains_key("content-security-policy"), "{path}");
    }
}
