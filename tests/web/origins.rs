//! Pages of another origin cannot change anything, whatever cookies the browser adds.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use campanile_tests::both_databases;
use campanile_web::Settings;

use crate::assets::public;
use crate::cases::{CASES, Taken};
use crate::site::{Site, request};

/// Headers of a browser about a request's origin, and whether the request may change something.
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

/// A request as a browser sends it for a page of that origin.
fn from(headers: &[(&'static str, &'static str)], mut request: Request<Body>) -> Request<Body> {
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        request.headers_mut().insert(*name, value);
    }
    request
}

both_databases! {
    async fn only_the_own_origin_trusted_ones_and_programs_can_change_anything(site: Site) {
        let settings = Settings::default().rate(10_000, 10_000).trust_origin("https://trusted.example").unwrap();
        let site = site.another(settings);
        for case in CASES {
            for (round, (headers, may)) in ORIGINS.iter().enumerate() {
                let title = format!("{} {round}", case.path);
                let taken = Taken::from(&site, "u_ada", &title).await;
                let answer = site.send(from(headers, case.request(Some("u_ada"), &taken))).await;
                if *may || case.is_safe() {
                    answer.expect(case.status);
                } else {
                    answer.expect_problem(403, "cross-origin");
                }
            }
        }
        // Public paths cannot be changed by anybody.
        for path in public() {
            for (headers, may) in ORIGINS {
                let send = async |method| {
                    let request = request(method, path).body(Body::empty()).unwrap();
                    site.send(from(headers, request)).await
                };
                send(Method::GET).await.expect(200);
                for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
                    let answer = send(method).await;
                    if *may {
                        answer.expect_problem(405, "method-not-allowed");
                        assert_eq!(answer.headers["allow"], "GET,HEAD", "{path}");
                    } else {
                        answer.expect_problem(403, "cross-origin");
                    }
                }
            }
        }
    }
}
