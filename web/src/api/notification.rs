//! A **notification** as the API shows it.

use campanile_inbox::Item;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An item of the inbox, as it was frozen when it was sent, and what its user has done with it since.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    /// The notification.
    id: Uuid,
    /// The type of the event, `org.member.role_changed`.
    event_type: String,
    /// The category that the user may mute.
    category: String,
    /// What the event is about.
    subject_id: Option<String>,
    /// The organization it happened in.
    org_id: Option<String>,
    /// One line of plain text.
    title: String,
    /// Plain text.
    body: String,
    /// The event's fields.
    payload: serde_json::Value,
    /// Where a click leads: `https`, `mailto` or an absolute path.
    action_url: Option<String>,
    /// When the user saw it in a list.
    #[schema(value_type = Option<String>, format = DateTime)]
    seen_at: Option<Timestamp>,
    /// When the user read it.
    #[schema(value_type = Option<String>, format = DateTime)]
    read_at: Option<Timestamp>,
    /// When the user put it away.
    #[schema(value_type = Option<String>, format = DateTime)]
    archived_at: Option<Timestamp>,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Item> for Notification {
    fn from(item: Item) -> Self {
        Self {
            id: item.id,
            event_type: item.event_type,
            category: item.category,
            subject_id: item.subject_id,
            org_id: item.org_id,
            title: item.title,
            body: item.body,
            payload: item.payload,
            action_url: item.action_url,
            seen_at: item.seen_at,
            read_at: item.read_at,
            archived_at: item.archived_at,
            created_at: item.created_at,
        }
    }
}
