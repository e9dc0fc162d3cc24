//! The **counts** that a bell shows: `GET /inbox/counts`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::body::Search;
use crate::caller::Caller;
use crate::counts::Counts;
use crate::etag::{Known, is_known, revalidate};
use crate::problem::Problem;
use crate::state::Web;

/// Which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountsQuery {
    /// Only the items of this organization. If the session is in an organization, only that one is allowed.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    pub(crate) org: Option<String>,
}

/// Count
///
/// How many items there are. The request is cheap, and its `ETag` makes polling cheaper.
#[utoipa::path(
    get,
    path = "/inbox/counts",
    operation_id = "countInbox",
    tag = "inbox",
    params(CountsQuery, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the counts that you have")),
    responses(
        (status = 200, description = "The counts", body = Counts, headers(("ETag" = String, description = "The version of the counts"))),
        (status = 304, description = "They have not changed"),
    )
)]
pub(crate) async fn read(
    State(web): State<Web>,
    caller: Caller,
    Search(query): Search<CountsQuery>,
    known: Known,
) -> Result<Response, Problem> {
    let inbox = caller.inbox(web.database(), query.org.as_deref())?;
    let counts = Counts::of(&inbox).await?;
    let etag = counts.etag();
    let is_known = is_known(&etag, known);
    let headers = (TypedHeader(etag), [revalidate()]);
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, Json(counts)).into_response())
}
