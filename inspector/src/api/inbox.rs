//! One person's inbox: `GET /api/users/{id}/inbox`, and `POST .. /inbox/{notification}/read`.

use axum::Json;
use axum::extract::State;
use campanile_inbox::{Inbox, InboxError, Item, Page};
use serde::Serialize;
use uuid::Uuid;

use crate::api::Named;
use crate::api::users::User;
use crate::inspector::Inspector;
use crate::problem::Problem;

/// The newest items, and how many are unread.
#[derive(Debug, Serialize)]
pub(crate) struct Feed {
    items: Vec<Item>,
    unread: u64,
}

pub(crate) async fn read(
    State(inspector): State<Inspector>,
    User(person): User,
) -> Result<Json<Feed>, Problem> {
    feed(&inspector, person.id).await
}

/// Answers the inbox as it is then.
pub(crate) async fn mark_read(
    State(inspector): State<Inspector>,
    User(person): User,
    Named((_, notification)): Named<(String, String)>,
) -> Result<Json<Feed>, Problem> {
    // What is no id names no notification.
    let id = Uuid::try_parse(&notification).map_err(|_| InboxError::NotFound)?;
    let inbox = Inbox::for_user(inspector.dispatcher().database(), person.id)?;
    inbox.mark_read(id).await?;
    feed(&inspector, person.id).await
}

async fn feed(inspector: &Inspector, user: &str) -> Result<Json<Feed>, Problem> {
    let inbox = Inbox::for_user(inspector.dispatcher().database(), user)?;
    let page = Page {
        limit: 100,
        ..Page::default()
    };
    Ok(Json(Feed {
        items: inbox.feed(page).await?.items,
        unread: inbox.unread().await?,
    }))
}
