//! The **counts** of an inbox, as the API and its stream show them.

use axum_extra::headers::ETag;
use campanile_inbox::Inbox;
use serde::Serialize;
use utoipa::ToSchema;

use crate::etag::etag;
use crate::problem::Problem;

/// Counting stops here, so that its cost does not grow with the inbox. To count one organization or category, the database still
/// scans the items of the others.
pub(crate) const CAP: u32 = 100;

/// How many items are not archived. Each number is at most 100, which means a hundred or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// Unread items.
    #[schema(minimum = 0, maximum = 100)]
    unread: u64,
    /// Items that have not been in any list that the user opened.
    #[schema(minimum = 0, maximum = 100)]
    unseen: u64,
    /// All items.
    #[schema(minimum = 0, maximum = 100)]
    total: u64,
    /// The text of a bell's badge: the unread items, `0` to `99`, or `99+`.
    badge: String,
}

impl Counts {
    pub(crate) async fn of(inbox: &Inbox) -> Result<Self, Problem> {
        Ok(inbox.counts_up_to(CAP).await?.into())
    }

    pub(crate) fn etag(&self) -> ETag {
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
