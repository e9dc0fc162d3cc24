//! `GET /api/users`: the people of the tour.

use axum::Json;

use crate::people::{PEOPLE, Person};

pub(crate) async fn list() -> Json<[Person; PEOPLE.len()]> {
    Json(PEOPLE)
}
