//! Fixtures: a host's app with the routes nested in it, and requests of signed-in users.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use campanile::NotifiableEvent as _;
use campanile_tests::database::Fixture;
use campanile_tests::events::PigeonExpected;
use campanile_tests::viewer::{CurrentUser, Session};
use campanile_tests::{App, TestDatabase};
use campanile_web::Settings;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::listener::Listener;

/// Where the host has nested the routes. The path has a parameter of the host's own.
const NEST: &str = "/{id}/notifications";

/// A host's app, and its site.
pub(crate) struct Site {
    pub(crate) app: App,
    pub(crate) router: Router,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Fixture for Site {
    async fn over(database: TestDatabase) -> Self {
        // Tests send more requests than a person does.
        Self::with(database, Settings::default().rate(10_000, 10_000)).await
    }
}

impl Site {
    pub(crate) async fn with(database: TestDatabase, settings: Settings) -> Self {
        Self::of(App::over_database(database).await, settings)
    }

    /// A second site over the same database, as another process would be.
    pub(crate) fn another(&self, settings: Settings) -> Self {
        let app = App::without_addresses(self.app.database.clone());
        Self::of(app, settings)
    }

    pub(crate) fn of(app: App, settings: Settings) -> Self {
        let router = router(&app, settings);
        Self { app, router }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let bytes = if parts
            .headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream")
        {
            // A stream does not end, so its beginning is the answer.
            let first = Listener::over(body).next().await.unwrap();
            format!("{first:?}").into()
        } else {
            to_bytes(body, usize::MAX).await.unwrap()
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            json: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) async fn respond(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Answer {
        let request = request(Method::GET, path).header("x-session", user);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The current `asOf` of this user's feed.
    pub(crate) async fn as_of(&self, user: &str) -> Value {
        self.get(user, "/inbox?limit=1").await.json["asOf"].clone()
    }

    pub(crate) async fn post(&self, user: &str, path: &str, body: Value) -> Answer {
        self.send(with_json(Method::POST, user, path, &body)).await
    }

    pub(crate) async fn patch(&self, user: &str, path: &str, body: Value) -> Answer {
        self.send(with_json(Method::PATCH, user, path, &body)).await
    }

    /// Sends a form, as a page without JavaScript does.
    pub(crate) async fn submit(&self, user: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = request(Method::POST, path)
            .header("x-session", user)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Sends a user a notification, and returns the id of the item.
    pub(crate) async fn tell(&self, user: &str, title: &str) -> String {
        self.tell_in(user, title, "org_1").await
    }

    pub(crate) async fn tell_in(&self, user: &str, title: &str, org: &str) -> String {
        let event = PigeonExpected {
            title: title.into(),
            text: "-".into(),
        };
        let notice = event.about(format!("{title}{org}")).in_org(org).to([user]);
        let _ = self.app.dispatcher.enqueue(notice).await.unwrap();
        self.app.inbox(user).await[0].id.to_string()
    }

    /// Sends a user many notifications, in this order.
    pub(crate) async fn tell_many(&self, user: &str, titles: std::ops::Range<u32>) {
        for title in titles {
            self.tell(user, &title.to_string()).await;
        }
    }
}

fn router(app: &App, settings: Settings) -> Router {
    let routes = campanile_web::router::<Session, CurrentUser>(app.dispatcher.clone(), settings);
    Router::new()
        .nest(NEST, routes)
        .with_state(Session::Header("x-session"))
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        &self.json
    }

    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, kind: &str) {
        let told = (self.status.as_u16(), self.json["type"].as_str());
        let kind = format!("urn:campanile:problem:{kind}");
        assert_eq!(told, (status, Some(kind.as_str())), "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.json["status"], status);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string());
    }

    pub(crate) fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }

    /// The titles of a page.
    pub(crate) fn titles(&self) -> Vec<&str> {
        let items = self.json["items"].as_array();
        let items = items.unwrap_or_else(|| panic!("{}", self.text)).iter();
        items.map(|item| item["title"].as_str().unwrap()).collect()
    }
}

/// A request as a program makes it: without a browser's headers.
pub(crate) fn request(method: Method, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(format!("/u_bob/notifications{path}"))
        .header("host", "app.example.com")
}

pub(crate) fn with_json(method: Method, user: &str, path: &str, body: &Value) -> Request<Body> {
    request(method, path)
        .header("x-session", user)
        .header("content-type", "application/json")
        .body(body.to_string().into())
        .unwrap()
}
