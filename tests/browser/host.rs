//! The host: an app with the routes nested in it and one page with a bell, in a runtime of its own, so that it can be killed
//! and restarted.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use campanile::NotifiableEvent as _;
use campanile::channel::INBOX;
use campanile::notifiable_event;
use campanile_tests::viewer::{CurrentUser, Session};
use campanile_tests::{App, TestDatabase};
use campanile_web::Settings;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::weather::{Weather, pass};

/// Allows only the host's own files, nothing inline, and no text as markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";

/// Somebody left a note.
#[notifiable_event(
    "desk.note.left",
    category = "desk",
    dedup(window = "0s"),
    channels(INBOX(title = "{{ title }}", body = "{{ text }}", action_url = "{{ link }}"))
)]
#[derive(Debug, Clone, Default)]
pub(crate) struct NoteLeft {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) link: String,
}

/// An app, and its runtime, which stands for a process.
pub(crate) struct Host {
    pub(crate) app: App,
    pub(crate) weather: Weather,
    pub(crate) address: SocketAddr,
    /// The heartbeat interval of processes that are started from now on.
    pub(crate) heartbeat: Duration,
    runtime: Option<Runtime>,
}

impl Host {
    pub(crate) async fn start(database: TestDatabase) -> Self {
        let mut host = Self {
            app: App::without_addresses(database),
            weather: Weather::default(),
            address: ([127, 0, 0, 1], 0).into(),
            heartbeat: Duration::from_secs(20),
            runtime: None,
        };
        host.start_again().await;
        host
    }

    /// Starts a new process at the same address.
    pub(crate) async fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let site = site(&self.app, self.weather.clone(), self.heartbeat);
        let (say, said) = tokio::sync::oneshot::channel();
        let address = self.address;
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            say.send(listener.local_addr().unwrap()).unwrap();
            axum::serve(listener, site).await.unwrap();
        });
        self.address = said.await.unwrap();
        self.runtime = Some(runtime);
    }

    /// Ends the process: its connections break.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::ZERO);
        }
    }

    /// Leaves a note for a user.
    pub(crate) async fn leave(&self, user: &str, note: NoteLeft) {
        let notice = note.about("desk").to([user]);
        let _ = self.app.dispatcher.enqueue(notice).await.unwrap();
    }

    /// Leaves a note with this title.
    pub(crate) async fn tell(&self, user: &str, title: &str) {
        self.leave(user, note(title)).await;
    }

    /// Leaves a note with this title, in an organization.
    pub(crate) async fn tell_in(&self, user: &str, org: &str, title: &str) {
        let notice = note(title).about("desk").in_org(org).to([user]);
        let _ = self.app.dispatcher.enqueue(notice).await.unwrap();
    }

    /// Leaves notes with these titles, all at once.
    pub(crate) async fn tell_at_once(&self, user: &str, titles: &[&str]) {
        let notices = titles
            .iter()
            .map(|title| note(title).about("desk").to([user]));
        self.app.dispatcher.enqueue_all(notices).await.unwrap();
    }
}

fn note(title: &str) -> NoteLeft {
    NoteLeft {
        title: title.into(),
        text: "On your desk.".into(),
        ..NoteLeft::default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn site(app: &App, weather: Weather, heartbeat: Duration) -> Router {
    // Tests send more requests than a person does.
    let settings = Settings::default()
        .rate(1_000, 1_000)
        .live_heartbeat(heartbeat);
    let routes = campanile_web::router::<Session, CurrentUser>(app.dispatcher.clone(), settings);
    Router::new()
        .nest("/notifications", routes.clone())
        .nest("/of/{user}/notifications", routes)
        .route("/of/{user}", get(sign_in_apart))
        .route("/", get(page))
        .route("/note", get(|| async { "the note" }))
        .route("/page.css", get(style))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/as/{user}", get(sign_in))
        .layer(from_fn_with_state(weather, pass))
        .with_state(Session::Cookie("session"))
}

async fn sign_in(Path(user): Path<String>) -> impl IntoResponse {
    let cookie = format!("session={user}; Path=/; HttpOnly; SameSite=Lax");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/"))
}

/// A page of one person whose cookie is limited to its path, so that two people can use one browser.
async fn sign_in_apart(Path(user): Path<String>) -> impl IntoResponse {
    let path = format!("/of/{user}");
    let cookie = format!("session={user}; Path={path}; HttpOnly; SameSite=Lax");
    let page =
        written("en", "ltr", &user).replace("/notifications\"", &format!("{path}/notifications\""));
    (
        [
            (header::SET_COOKIE, cookie),
            (header::CONTENT_TYPE, HTML.to_owned()),
        ],
        page,
    )
}

async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css")],
        include_str!("page.css"),
    )
}

/// The language and direction of the page.
#[derive(Debug, Deserialize)]
struct Written {
    #[serde(default = "english")]
    lang: String,
    #[serde(default = "left_to_right")]
    dir: String,
}

fn english() -> String {
    "en".into()
}

fn left_to_right() -> String {
    "ltr".into()
}

async fn page(Query(written): Query<Written>, user: CurrentUser) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HTML),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    let page = self::written(&written.lang, &written.dir, &user.id);
    (headers, page)
}

fn written(lang: &str, dir: &str, user: &str) -> String {
    include_str!("page.html")
        .replace("{lang}", lang)
        .replace("{dir}", dir)
        .replace("{user}", user)
}
