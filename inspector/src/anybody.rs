//! **Anybody** can be anybody here: the inbox and the preferences below `/as/{person}` are those of the person in the path.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use campanile_web::Viewer;

use crate::api::Named;
use crate::people::{self, Person};
use crate::problem::Problem;

/// The person that `{person}` in the path names.
///
/// An app must not do this: its viewer comes from a session, or everybody could read everything. The inspector is a tool for
/// development without sessions, and shows what each of its people would see.
#[derive(Debug)]
pub(crate) struct Anybody(&'static Person);

impl Viewer for Anybody {
    fn user_id(&self) -> &str {
        self.0.id
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // The path may name an item after the person.
        let Named(named) =
            Named::<HashMap<String, String>>::from_request_parts(parts, state).await?;
        named
            .get("person")
            .and_then(|id| people::find(id))
            .map(Self)
            .ok_or_else(|| {
                Problem::not_found(
                    "UNKNOWN_USER",
                    "no person has this id; `GET /api/users` lists the people",
                )
            })
    }
}
