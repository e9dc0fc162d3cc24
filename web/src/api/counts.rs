//! The **counts** a bell shows: `GET /inbox/counts`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum_extra::TypedHeader;
use axum_extra::headers::ETag;
use campanile_inbox::Inbox;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{Web, revalidate};
use crate::body::Search;
use crate::caller::Caller;
use crate::etag::{Known, etag, is_known};
use crate::problem::Problem;

/// Counting ends here, so that what it costs does not grow with the inbox; of one organization or category it walks past the
/// items of the others.
pub(crate) const CAP: u32 = 100;

/// How many items there are that are not archived. Each number ends at 100, which means a hundred or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// Not read.
    #[schema(minimum = 0, maximum = 100)]
    unread: u64,
    /// In no list yet that the user opened.
    #[schema(minimum = 0, maximum = 100)]
    unseen: u64,
    /// All of them.
    #[schema(minimum = 0, maximum = 100)]
    total: u64,
    /// What to write on a bell: the unread ones, `0` to `99`, or `99+`.
    badge: String,
}

/// Which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CountsQuery {
    /// Only what happened in this organization. In a session that is in one, only that one is answered.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    pub(crate) org: Option<String>,
}

impl Counts {
    pub(crate) async fn of(inbox: &Inbox) -> Result<Self, Problem> {
        Ok(inbox.counts_up_to(CAP).await?.into())
    }

    fn etag(&self) -> ETag {
        etag(&format!("{}.{}.{}", self.unread, self.unseen, self.total))
    }
}

impl From<campanile_inbox::Counts> for Counts {
    fn from(counts: campanile_inbox::Counts) -> Self {
        let badge = match counts.unread {
            0..100 => counts.unread.to_string(),
            _ => "99+".to_owned(),
        };
        Self {
            unread: counts.unread,
            unseen: counts.unseen,
            total: counts.total,
            badge,
        }
    }
}

/// Count
///
/// How many items there are; cheap to ask for, with an `ETag` to ask again.
#[utoipa::path(
    get,
    path = "/inbox/counts",
    operation_id = "countInbox",
    tag = "inbox",
    params(CountsQuery, ("If-None-Match" = Option<String>, Header, description = "The `ETag` of the counts you have")),
    responses(
        (status = 200, description = "The counts", body = Counts, headers(("ETag" = String, description = "The version of the counts"))),
        (status = 304, description = "They are still what you have"),
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
