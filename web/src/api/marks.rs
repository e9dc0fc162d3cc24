//! **Marks**: seen, read, archived. `PATCH /inbox/{id}`, `POST /inbox/seen`, `POST /inbox/read-all`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use campanile_inbox::{Change, Inbox, InboxError, Item, Moment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::counts::CountsQuery;
use crate::body::{Document, Search};
use crate::caller::Caller;
use crate::counts::Counts;
use crate::problem::{INVALID_BODY, Problem};
use crate::state::Web;

/// A change of an item. A field that is missing or null stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Marks {
    /// Whether it is read. A read item counts as seen.
    read: Option<bool>,
    /// Whether it is archived.
    archived: Option<bool>,
}

/// An item as it is now, and the counts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Marked {
    item: Item,
    counts: Counts,
}

/// How many items may be named in `since`.
const MAX_SINCE: usize = 100;

/// What the user was shown: all items that existed when a page was read, on that page or older, and the items shown since.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Shown {
    /// The `asOf` of the first page. Items that were committed later stay as they are, whatever their ids and times.
    #[schema(pattern = r"^([0-9]{1,18}|[0-9]{1,18}:[0-9]{1,18}:[0-9,]*)$")]
    as_of: String,
    /// The ids of items that were shown but did not exist at that time: those received from `GET /inbox/events`.
    #[serde(default)]
    #[schema(max_items = 100)]
    since: Vec<Uuid>,
    /// Only the items of this category.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    category: Option<String>,
    /// Only the items of this organization. If the session is in an organization, only that one is allowed.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    org: Option<String>,
}

/// How many were marked, and the counts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllMarked {
    /// How many items changed.
    changed: u64,
    counts: Counts,
}

/// Mark one
///
/// Marks one item as read or unread, archives it or restores it. A repeated request changes nothing.
#[utoipa::path(
    patch,
    path = "/inbox/{id}",
    operation_id = "changeNotification",
    tag = "inbox",
    params(("id" = Uuid, Path, description = "The item"), CountsQuery),
    request_body = Marks,
    responses(
        (status = 200, description = "The item as it is now", body = Marked),
        (status = 404, description = "`unknown-notification`: it does not exist, or belongs to another user or organization"),
    )
)]
pub(crate) async fn change(
    State(web): State<Web>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
    Search(query): Search<CountsQuery>,
    Document(marks): Document<Marks>,
) -> Result<Json<Marked>, Problem> {
    // A path that is not an id does not name a notification.
    let id = id.ok().and_then(|Path(id)| Uuid::try_parse(&id).ok());
    let id = id.ok_or(InboxError::NotFound)?;
    let inbox = caller.inbox(web.database(), query.org.as_deref())?;
    let change = Change {
        read: marks.read,
        archived: marks.archived,
    };
    let item = inbox.change(id, change).await?;
    web.dispatcher.announce_commit();
    let counts = Counts::of(&inbox).await?;
    Ok(Json(Marked { item, counts }))
}

/// Mark as seen
///
/// The user opened the list, so its items are not new any more. They stay unread.
#[utoipa::path(
    post,
    path = "/inbox/seen",
    operation_id = "markSeen",
    tag = "inbox",
    request_body = Shown,
    responses((status = 200, description = "They are seen", body = AllMarked))
)]
pub(crate) async fn seen(
    State(web): State<Web>,
    caller: Caller,
    Document(shown): Document<Shown>,
) -> Result<Json<AllMarked>, Problem> {
    let (inbox, part) = parts(&web, &caller, &shown)?;
    let changed = part.mark_all_seen(&shown.moment()?, &shown.since).await;
    let changed = changed.map_err(of_body)?;
    web.dispatcher.announce_commit();
    let counts = Counts::of(&inbox).await?;
    Ok(Json(AllMarked { changed, counts }))
}

/// Mark all as read
///
/// All items that the user was shown. Archived items stay as they are.
#[utoipa::path(
    post,
    path = "/inbox/read-all",
    operation_id = "markRead",
    tag = "inbox",
    request_body = Shown,
    responses((status = 200, description = "They are read", body = AllMarked))
)]
pub(crate) async fn read_all(
    State(web): State<Web>,
    caller: Caller,
    Document(shown): Document<Shown>,
) -> Result<Json<AllMarked>, Problem> {
    let (inbox, part) = parts(&web, &caller, &shown)?;
    let changed = part.mark_all_read(&shown.moment()?, &shown.since).await;
    let changed = changed.map_err(of_body)?;
    web.dispatcher.announce_commit();
    let counts = Counts::of(&inbox).await?;
    Ok(Json(AllMarked { changed, counts }))
}

impl Shown {
    pub(crate) fn moment(&self) -> Result<Moment, Problem> {
        if self.since.len() > MAX_SINCE {
            let detail = format!("`since` names at most {MAX_SINCE} items");
            return Err(Problem::new(INVALID_BODY, detail));
        }
        self.as_of.parse().map_err(of_body)
    }
}

fn of_body(error: InboxError) -> Problem {
    Problem::from(error).of_body()
}

/// The inbox whose items are counted, and the part of it whose items are marked.
fn parts(web: &Web, caller: &Caller, shown: &Shown) -> Result<(Inbox, Inbox), Problem> {
    let inbox = caller
        .inbox(web.database(), shown.org.as_deref())
        .map_err(Problem::of_body)?;
    let part = match &shown.category {
        Some(category) => inbox.clone().of_category(category).map_err(of_body)?,
        None => inbox.clone(),
    };
    Ok((inbox, part))
}
