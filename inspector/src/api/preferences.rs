//! One person's preferences: `GET` and `PUT /api/users/{id}/preferences`; `PUT` switches one cell.

use axum::Json;
use axum::extract::State;
use campanile::preferences::{CellChange, Matrix};

use crate::api::users::User;
use crate::body::Document;
use crate::inspector::Inspector;
use crate::problem::Problem;

pub(crate) async fn read(
    State(inspector): State<Inspector>,
    User(person): User,
) -> Result<Json<Matrix>, Problem> {
    let preferences = inspector.dispatcher().preferences_of(person.id)?;
    Ok(Json(preferences.matrix().await?))
}

/// Answers the matrix as it is then. Muting a critical channel is kept, and the matrix says to what it does not apply.
pub(crate) async fn set(
    State(inspector): State<Inspector>,
    User(person): User,
    Document(change): Document<CellChange>,
) -> Result<Json<Matrix>, Problem> {
    let preferences = inspector.dispatcher().preferences_of(person.id)?;
    preferences.set_many(&[change]).await?;
    Ok(Json(preferences.matrix().await?))
}
