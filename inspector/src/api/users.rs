//! `GET /api/users`: the people of the tour. A path that names somebody else is a problem.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::collections::HashMap;

use crate::api::Named;
use crate::people::{self, PEOPLE, Person};
use crate::problem::Problem;

pub(crate) async fn list() -> Json<[Person; PEOPLE.len()]> {
    Json(PEOPLE)
}

/// The person whom `{id}` of the path names.
pub(crate) struct User(pub(crate) &'static Person);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Named(named) =
            Named::<HashMap<String, String>>::from_request_parts(parts, state).await?;
        named
            .get("id")
            .and_then(|id| people::find(id))
            .map(Self)
            .ok_or_else(|| {
                Problem::not_found(
                    "UNKNOWN_USER",
                    "nobody here has this id; `GET /api/users` lists the people",
                )
            })
    }
}
