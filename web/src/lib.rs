//! The end user's side of campanile over **HTTP**: an inbox and preferences, as axum routers to nest in a host's app.
//!
//! campanile has no users. The host's own extractor says who is signed in: it implements [`Viewer`], and without one the
//! [`router`] does not compile. A user id is never taken from a path, a query or a body.
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
//! | `PATCH /inbox/{id}` | marks one item as read or unread, archives or restores it |
//! | `POST /inbox/seen`, `POST /inbox/read-all` | marks all items that the user was shown |
//! | `GET /inbox/events` | new and changed items and the counts, live, by Server-Sent Events |
//! | `GET /preferences`, `PATCH /preferences` | the matrix of categories and channels, and one switch of it |
//! | `GET /settings`, `POST /settings` | the same matrix as a settings page, also without JavaScript |
//! | `GET /bell.js` | `<campanile-bell>`, for any page; `/inbox.js` is the module below it, for a bell of your own |
//! | `GET /openapi.json` | the API's description in `OpenAPI` 3.1, for programs and for [viewers](https://redocly.github.io/redoc/) |
//!
//! The stream of events ends when the router is dropped, after [a maximum time](Settings::live_lifetime), and when the app
//! [shuts down](Settings::shutdown).
//!
//! Errors of these routes are `application/problem+json` (RFC 9457) with a stable `type`. Other paths, and requests of users who
//! are not signed in, are answered by the host. The host may use cookies: a page of another origin cannot change anything.

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
