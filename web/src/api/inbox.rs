//! The **feed**: `GET /inbox`.

use axum::Json;
use axum::extract::State;
use campanile_inbox::{Filter, InboxError, Item, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::body::Search;
use crate::caller::Caller;
use crate::counts::Counts;
use crate::cursor::{Direction, View};
use crate::problem::{INVALID_LIMIT, Problem};
use crate::state::Web;

/// How many items a page has by default.
const LIMIT: usize = 20;

/// Which page of which part of the inbox.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct InboxQuery {
    /// How many items, from 1 to 100. Default: 20.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// The `next` or `previous` of a page of the same view.
    cursor: Option<String>,
    /// Items that are not archived, only the unread ones of these, or archived items.
    #[serde(default)]
    #[param(inline)]
    status: Status,
    /// Only the items of this category.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    category: Option<String>,
    /// Only the items of this organization. If the session is in an organization, only that one is allowed.
    #[param(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$"
    )]
    org: Option<String>,
}

/// Which items.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    All,
    Unread,
    Archived,
}

/// A page of the feed, newest first, and the counts of the whole inbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InboxPage {
    items: Vec<Item>,
    /// The cursor of the page with older items; null at the end.
    next: Option<String>,
    /// The cursor of the page with newer items; null at the head.
    previous: Option<String>,
    /// When the page was read; opaque. Keep the one of the first page, to mark the items as seen or read.
    as_of: String,
    counts: Counts,
}

/// List
///
/// A page of the inbox, newest first.
#[utoipa::path(
    get,
    path = "/inbox",
    operation_id = "listInbox",
    tag = "inbox",
    params(InboxQuery),
    responses((status = 200, description = "The page", body = InboxPage, links(
        ("older" = (operation_id = "listInbox", parameters(("cursor" = "$response.body#/next")), description = "The next page of the same view")),
        ("change" = (operation_id = "changeNotification", parameters(("id" = "$response.body#/items/0/id")), description = "The newest item of the page")),
    )))
)]
pub(crate) async fn list(
    State(web): State<Web>,
    caller: Caller,
    Search(query): Search<InboxQuery>,
) -> Result<Json<InboxPage>, Problem> {
    let inbox = caller.inbox(web.database(), query.org.as_deref())?;
    let view = View {
        user: caller.user(),
        org: caller.org(query.org.as_deref())?,
        category: query.category.as_deref(),
        filter: query.status.into(),
    };
    let page = query.page(view)?;
    let counts = Counts::of(&inbox).await?;
    let inbox = match view.category {
        Some(category) => inbox.of_category(category)?,
        None => inbox,
    };
    let feed = inbox.feed(page).await?;
    let cursor = |direction| move |place| view.cursor(direction, place);
    Ok(Json(InboxPage {
        next: feed.next.map(cursor(Direction::Older)),
        previous: feed.previous.map(cursor(Direction::Newer)),
        as_of: feed.as_of.to_string(),
        items: feed.items,
        counts,
    }))
}

impl InboxQuery {
    fn page(&self, view: View<'_>) -> Result<Page, Problem> {
        let limit = match &self.limit {
            None => LIMIT,
            Some(text) => text.parse().map_err(|_| {
                Problem::new(INVALID_LIMIT, "a limit is a whole number from 1 to 100")
            })?,
        };
        let page = Page {
            limit,
            filter: view.filter,
            ..Page::default()
        };
        let Some(text) = &self.cursor else {
            return Ok(page);
        };
        let place = view.place(text);
        let (direction, place) = place.map_err(|_| InboxError::InvalidCursor)?;
        Ok(match direction {
            Direction::Older => Page {
                after: Some(place),
                ..page
            },
            Direction::Newer => Page {
                before: Some(place),
                ..page
            },
        })
    }
}

impl From<Status> for Filter {
    fn from(status: Status) -> Self {
        match status {
            Status::All => Self::All,
            Status::Unread => Self::Unread,
            Status::Archived => Self::Archived,
        }
    }
}
