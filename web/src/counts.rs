//! The **counts** of an inbox, as the API and its stream show them.

use axum_extra::headers::ETag;
use campanile_inbox::Inbox;
use serde::Serialize;
use utoipa::ToSchema;

use crate::etag::etag;
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
