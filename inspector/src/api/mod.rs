//! The **API** of the page, in JSON, for scripts too. Keys are camelCase, times RFC 3339. A person's inbox and preferences are
//! not here: campanile-web's own routes are below `/as/{person}`.

mod events;
mod dispatch;
mod users;
mod dedup;
mod mails;
mod pushes;
mod deliveries;
mod channels;
mod state;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::inspector::Inspector;
use crate::problem::Problem;

/// The routes below `/api`.
pub(crate) fn routes() -> Router<Inspector> {
    Router::new()
        .route("/events", get(events::list))
        .route("/dispatch", post(dispatch::dispatch))
        .route("/explain", post(dispatch::explain))
        .route("/users", get(users::list))
        .route("/dedup", get(dedup::list))
        .route("/dedup/release", post(dedup::release))
        .route("/mails", get(mails::list))
        .route("/mails/{id}/preview", get(mails::preview))
        .route("/pushes", get(pushes::list))
        .route("/deliveries", get(deliveries::list))
        .route("/channels/{name}/fail", post(channels::fail))
        .route("/state", get(state::read))
}

/// The parameters of a path, or a problem if they are not UTF-8.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |rejection: PathRejection| match rejection {
            PathRejection::FailedToDeserializePathParams(_) => Problem::new(
                StatusCode::BAD_REQUEST,
                "INVALID_PATH",
                rejection.body_text(),
            ),
            _ => Problem::internal(),
        };
        let Path(named) = Path::from_request_parts(parts, state)
            .await
            .map_err(refused)?;
        Ok(Self(named))
    }
}

/// A time of the database, in microseconds.
fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}
