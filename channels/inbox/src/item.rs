//! An **item** of an inbox: its content, frozen at dispatch, and what its user has done with it since.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

/// An item of the inbox: its content, frozen at dispatch, and what its user has done with it since.
///
/// In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = Notification))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Item {
    /// The id of the notification.
    pub id: Uuid,
    /// The type of the event, `org.member.role_changed`.
    pub event_type: String,
    /// The category that the user may mute.
    pub category: String,
    /// What the event is about.
    pub subject_id: Option<String>,
    /// The organization in which it happened.
    pub org_id: Option<String>,
    /// One line of plain text.
    pub title: String,
    /// Plain text.
    pub body: String,
    /// The event's fields.
    pub payload: serde_json::Value,
    /// Where a click leads: `https`, `mailto` or an absolute path.
    pub action_url: Option<String>,
    /// When the user saw it in a list.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub seen_at: Option<Timestamp>,
    /// When the user read it.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub read_at: Option<Timestamp>,
    /// When the user archived it.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub archived_at: Option<Timestamp>,
    /// When it was sent.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// The columns of an item, in either dialect.
pub(crate) const COLUMNS: &str = "\
    {text(id)} as id, event_type, category, subject_id, org_id, title, body, {text(payload)} as payload, action_url, \
    {micros(seen_at)} as seen_at, {micros(read_at)} as read_at, {micros(archived_at)} as archived_at, \
    {micros(created_at)} as created_at";

impl Item {
    /// Reads a row of [`COLUMNS`].
    pub(crate) fn of_row<R: Row>(row: &R) -> Result<Self, sqlx::Error>
    where
        for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database> + ColumnIndex<R>,
        for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
        for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    {
        let text = |column| row.try_get::<String, _>(column);
        let maybe = |column| row.try_get::<Option<String>, _>(column);
        let time = |column| {
            let micros: Option<i64> = row.try_get(column)?;
            micros.map(timestamp).transpose()
        };
        Ok(Self {
            id: decode(Uuid::parse_str(&text("id")?))?,
            event_type: text("event_type")?,
            category: text("category")?,
            subject_id: maybe("subject_id")?,
            org_id: maybe("org_id")?,
            title: text("title")?,
            body: text("body")?,
            payload: decode(serde_json::from_str(&text("payload")?))?,
            action_url: maybe("action_url")?,
            seen_at: time("seen_at")?,
            read_at: time("read_at")?,
            archived_at: time("archived_at")?,
            created_at: timestamp(row.try_get("created_at")?)?,
        })
    }
}

fn timestamp(micros: i64) -> Result<Timestamp, sqlx::Error> {
    decode(Timestamp::from_microsecond(micros))
}

fn decode<T, E>(result: Result<T, E>) -> Result<T, sqlx::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| sqlx::Error::Decode(error.into()))
}
