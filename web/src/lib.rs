//! The end user's side of campanile over **HTTP**: an inbox and preferences, as axum routers to nest in a host's app.
//!
//! campanile has no users. The host says who is looking, by an extractor of its own that is a [`Viewer`]; without one the
//! [`router`] does not compile. No user id is ever taken from a path, a query or a body.
//!
//! ```
//! use axum::Router;
//! use axum::extract::FromRequestParts;
//! use axum::http::{StatusCode, request::Parts};
//! use campanile::{Database, Dispatcher};
//! use campanile_web::{Settings, Viewer};
//!
//! /// Who is signed in. A real one reads a session.
//! struct CurrentUser(String);
//!
//! impl<S: Sync> FromRequestParts<S> for CurrentUser {
//!     type Rejection = StatusCode;
//!
//!     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
//!         let name = parts.headers.get("x-session").and_then(|name| name.to_str().ok());
//!         name.map(|name| Self(name.to_owned())).ok_or(StatusCode::UNAUTHORIZED)
//!     }
//! }
//!
//! impl Viewer for CurrentUser {
//!     fn user_id(&self) -> &str {
//!         &self.0
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::connect("sqlite::memory:").await?;
//! database.migrate().await?;
//! let dispatcher = Dispatcher::builder().database(database).build()?;
//! let app: Router = Router::new().nest(
//!     "/notifications",
//!     campanile_web::router::<_, CurrentUser>(dispatcher, Settings::default()),
//! );
//! # Ok(())
//! # }
//! ```
//!
//! | route | what it does |
//! |---|---|
//! | `GET /inbox` | a page of the feed with its counts; `limit`, `cursor`, `status`, `category`, `org` |
//! | `GET /inbox/counts` | the counts alone, with an `ETag` |
//! | `PATCH /inbox/{id}` | reads, unreads, archives or takes back one item |
//! | `POST /inbox/seen`, `POST /inbox/read-all` | all of them up to the newest one that was shown |
//! | `GET /inbox/events` | what happens, as it happens, by Server-Sent Events |
//! | `GET /preferences`, `PATCH /preferences` | the matrix of categories and channels, and one switch of it |
//! | `GET /settings`, `POST /settings` | the same matrix as a page for people, also without JavaScript |
//! | `GET /bell.js` | `<campanile-bell>`, to put into a page; `/inbox.js` is what it is built on, for other bells |
//! | `GET /openapi.json` | all of this in `OpenAPI` 3.1, for programs and for [viewers](https://redocly.github.io/redoc/) |
//!
//! The stream of events ends with the router, after [a while](Settings::live_lifetime), and when the app
//! [says that it stops](Settings::shutdown).
//!
//! Whatever these routes do not answer as asked is `application/problem+json` (RFC 9457) with a stable `type`; other paths, and
//! those who are not signed in, are answered by the host. Cookies of the host's are safe to use: a page of another origin cannot
//! change anything.

mod viewer;
mod router;
mod settings;
mod rate;
mod caller;
mod state;
mod api;
mod counts;
mod settings_page;
mod live;
mod assets;
mod cursor;
mod body;
mod etag;
mod problem;
mod openapi;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod promises;

pub use crate::router::{openapi, router};
pub use crate::settings::{Settings, SettingsError};
pub use crate::settings_page::words::SettingsPage;
pub use crate::viewer::Viewer;
