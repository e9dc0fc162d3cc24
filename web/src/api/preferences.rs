//! **Preferences**: `GET` and `PATCH /preferences`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::IfMatch;
use campanile::preferences::{CategoryRow, Cell, CellChange, EventRow, Matrix, PreferenceError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::Document;
use crate::caller::Caller;
use crate::etag::{Known, etag, is_known, revalidate};
use crate::problem::{Problem, VERSION_REQUIRED};
use crate::state::Web;

/// What a settings page shows: the categories, in alphabetical order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preferences {
    categories: Vec<Category>,
}

/// A row of the page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Category {
    #[serde(rename = "category")]
    name: &'static str,
    /// What the category contains.
    description: Option<&'static str>,
    /// The events of the category.
    events: Vec<Event>,
    /// A switch for each channel of its events, in alphabetical order.
    channels: Vec<Switch>,
}

/// An event type.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Event {
    event_type: &'static str,
    description: &'static str,
}

/// A channel of a category, on or off.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Switch {
    channel: &'static str,
    /// Whether it is on. A locked switch is.
    enabled: bool,
    /// Whether it is on for a user who never chose.
    default: bool,
    /// Whether it cannot be turned off: it is critical for every event of the category.
    locked: bool,
    /// Why it is locked, or which events are sent although it is off.
    reason: Option<String>,
}

/// A change of one switch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SwitchChange {
    category: String,
    channel: String,
    enabled: bool,
}

/// Read the preferences
///
/// Every category with its events, and a switch for each of their channels.
#[utoipa::path(
    get,
    path = "/preferences",
    operation_id = "readPreferences",
    tag = "preferences",
    params(("If-None-Match" = Option<String>, Header, description = "The `ETag` of the preferences that you have")),
    responses(
        (status = 200, description = "The preferences", body = Preferences, headers(("ETag" = String, description = "Their version, for `If-Match`"))),
        (status = 304, description = "They have not changed"),
    )
)]
pub(crate) async fn read(
    State(web): State<Web>,
    caller: Caller,
    known: Known,
) -> Result<Response, Problem> {
    let matrix = web.preferences_of(&caller)?.matrix().await?;
    let etag = etag(&matrix.version());
    if is_known(&etag, known) {
        let headers = (TypedHeader(etag), [revalidate()]);
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok(answer(matrix))
}

/// Turn a switch
///
/// Turns one switch of the preferences, if they have not changed since they were read, and returns them.
#[utoipa::path(
    patch,
    path = "/preferences",
    operation_id = "turnSwitch",
    tag = "preferences",
    params(("If-Match" = String, Header, description = "The `ETag` of the preferences that you read")),
    request_body = SwitchChange,
    responses(
        (status = 200, description = "The preferences as they are now", body = Preferences, headers(("ETag" = String, description = "Their version"))),
        (status = 409, description = "`critical-channel`: it cannot be muted, and `reason` says why"),
        (status = 412, description = "`preferences-changed`: they have changed since you read them; read them again"),
        (status = 428, description = "`version-required`: `If-Match` is missing"),
    )
)]
pub(crate) async fn switch(
    State(web): State<Web>,
    caller: Caller,
    headers: HeaderMap,
    TypedHeader(meant): TypedHeader<IfMatch>,
    Document(change): Document<SwitchChange>,
) -> Result<Response, Problem> {
    let settings = web.preferences_of(&caller)?;
    let change = CellChange {
        category: change.category,
        channel: change.channel,
        enabled: change.enabled,
    };
    // A missing header is parsed as one that names no version.
    if !headers.contains_key(header::IF_MATCH) {
        let detail = "send the `ETag` of the preferences as `If-Match`";
        return Err(Problem::new(VERSION_REQUIRED, detail));
    }
    let version = meant_version(&settings.matrix().await?, &meant)?;
    match settings.set_at(&version, &change).await {
        // Another request changed them first. `*` matches that version as well.
        Err(PreferenceError::Changed) => {
            let version = meant_version(&settings.matrix().await?, &meant)?;
            Ok(answer(settings.set_at(&version, &change).await?))
        }
        turned => Ok(answer(turned?)),
    }
}

/// The current version, if `If-Match` names it.
fn meant_version(matrix: &Matrix, meant: &IfMatch) -> Result<String, PreferenceError> {
    let version = matrix.version();
    if meant.precondition_passes(&etag(&version)) {
        Ok(version)
    } else {
        Err(PreferenceError::Changed)
    }
}

fn answer(matrix: Matrix) -> Response {
    let etag = TypedHeader(etag(&matrix.version()));
    let categories = matrix.categories.into_iter().map(Category::from).collect();
    (etag, [revalidate()], Json(Preferences { categories })).into_response()
}

impl From<CategoryRow> for Category {
    fn from(row: CategoryRow) -> Self {
        Self {
            name: row.category,
            description: row.description,
            events: row.events.into_iter().map(Event::from).collect(),
            channels: row.channels.into_iter().map(Switch::from).collect(),
        }
    }
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Self {
        Self {
            event_type: row.event_type,
            description: row.description,
        }
    }
}

impl From<Cell> for Switch {
    fn from(cell: Cell) -> Self {
        Self {
            channel: cell.channel,
            enabled: cell.enabled || cell.locked,
            // A missing row means on.
            default: true,
            locked: cell.locked,
            reason: cell.reason,
        }
    }
}
