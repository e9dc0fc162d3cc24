//! Fixtures: an inspector on SQLite in memory, and requests to it.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use campanile::Database;
use campanile_inspector::{Access, Inspector, Reach, Settings, app};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) struct Tour {
    pub(crate) inspector: Inspector,
    app: Router,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Tour {
    pub(crate) async fn start() -> Self {
        Self::with_access(Access::open(Reach::Loopback)).await
    }

    pub(crate) async fn with_access(access: Access) -> Self {
        let database = Database::connect("sqlite::memory:").await.unwrap();
        let inspector = Inspector::start(database, Settings::default())
            .await
            .unwrap();
        let app = app(inspector.clone(), access, std::future::pending());
        Self { inspector, app }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(with_json(Method::POST, path, &body)).await
    }

    /// Sends a PATCH for any version.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        let mut request = with_json(Method::PATCH, path, &body);
        let version = HeaderValue::from_static("*");
        request.headers_mut().insert("if-match", version);
        self.send(request).await
    }

    /// The status of an answer whose body may not end.
    pub(crate) async fn begin(&self, request: Request<Body>) -> StatusCode {
        self.app.clone().oneshot(request).await.unwrap().status()
    }

    /// Fires the example of an event and returns the report.
    pub(crate) async fn fire(&self, event_type: &str) -> Value {
        let answer = self
            .post("/api/dispatch", self.example(event_type).await)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json
    }

    pub(crate) async fn example(&self, event_type: &str) -> Value {
        let events = self.get("/api/events").await.json;
        let mut events = events.as_array().unwrap().iter();
        events
            .find(|event| event["eventType"] == event_type)
            .unwrap()["example"]
            .clone()
    }

    /// Makes every waiting delivery due at once, and delivers it.
    pub(crate) async fn retry_now(&self) {
        let database = self.inspector.dispatcher().database();
        let statement = database.sql(
            "update {campanile}notification_deliveries set run_at = {earlier(1)} where state = 'pending'",
        );
        campanile::each_database!(database, |pool| {
            campanile::sqlx::query(statement)
                .execute(pool)
                .await
                .unwrap();
        });
        self.inspector.dispatcher().deliver_due(100).await.unwrap();
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, code: &str) {
        let told = (self.status.as_u16(), self.json["code"].as_str());
        assert_eq!(told, (status, Some(code)), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["status"], status);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string());
    }
}

/// A request as a script makes it: with a host, and without a browser's headers.
pub(crate) fn request(method: Method, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:4700")
}

pub(crate) fn with_json(method: Method, path: &str, body: &Value) -> Request<Body> {
    request(method, path)
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .unwrap()
}

/// The three numbers of a report.
pub(crate) fn totals(report: &Value) -> Value {
    json!([
        report["sent"],
        report["deduped"],
        report["suppressedByPrefs"]
    ])
}

/// The outcome of a report for one recipient and channel.
pub(crate) fn outcome<'r>(report: &'r Value, user: &str, channel: &str) -> &'r Value {
    let mut outcomes = report["outcomes"].as_array().unwrap().iter();
    outcomes
        .find(|line| line["recipientUserId"] == user && line["channel"] == channel)
        .unwrap()
}
