//! Pages of another origin change nothing, whatever cookies the browser adds.

use axum::body::Body;
use axum::http::Method;
use campanile_tests::both_databases;
use campanile_web::Settings;
use uuid::Uuid;

use crate::site::{Site, request};

/// What a browser says of where a request comes from, and whether that may change something.
const ORIGINS: &[(&[(&str, &str)], bool)] = &[
    (&[], true),
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("origin", "https://app.example.com")], true),
    (&[("origin", "https://trusted.example")], true),
    (
        &[
            ("origin", "https://trusted.example"),
            ("sec-fetch-site", "cross-site"),
        ],
        true,
    ),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("origin", "https://evil.example")], false),
    (&[("origin", "https://app.example.com.evil.example")], false),
    (&[("origin", "https://app.example.com:8443")], false),
    (&[("origin", "null")], false),
];

both_databases! {
    async fn only_the_own_origin_and_programs_and_who_is_trusted_change_something(site: Site) {
        let settings = Settings::default().rate(10_000, 10_000).trust_origin("https://trusted.example").unwrap();
        let site = site.another(settings);
        let id = site.tell("u_ada", "x").await;
        for (method, path, body) in [
            (Method::PATCH, format!("/inbox/{id}"), r#"{"read":true}"#.to_owned()),
            (Method::POST, "/inbox/seen".into(), format!(r#"{{"upTo":"{}"}}"#, Uuid::nil())),
            (Method::POST, "/inbox/read-all".into(), format!(r#"{{"upTo":"{}"}}"#, Uuid::nil())),
            (Method::PATCH, "/preferences".into(), r#"{"category":"team","channel":"email","enabled":true}"#.into()),
            (Method::POST, "/settings".into(), "category=team&channel=email&enabled=true&version=x".into()),
            (Method::GET, "/inbox".into(), String::new()),
        ] {
            // The page's form is old here: it is let in, and told so.
            let (kind, let_in) = if path == "/settings" {
                ("application/x-www-form-urlencoded", 412)
            } else {
                ("application/json", 200)
            };
            for (headers, may) in ORIGINS {
                let mut request = request(method.clone(), &path)
                    .header("x-session", "u_ada")
                    .header("if-match", "*")
                    .header("content-type", kind);
                for (name, value) in *headers {
                    request = request.header(*name, *value);
                }
                let answer = site.send(request.body(Body::from(body.clone())).unwrap()).await;
                if *may || method == Method::GET {
                    answer.expect(let_in);
                } else {
                    answer.expect_problem(403, "cross-origin");
                }
            }
        }
    }
}
