//! Errors of reading and changing an inbox.

use campanile::StoreError;
use campanile::event::recipient::InvalidInput;

/// The maximum number of items of one page.
pub(crate) const MAX_PAGE: usize = 100;

/// Why the inbox was not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The user or organization id or the category is empty, too long or holds a control character.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The page's limit is not from 1 to 100.
    #[error("a page has from 1 to {MAX_PAGE} items, not {0}")]
    InvalidLimit(usize),
    /// The text is not a cursor of this version.
    #[error("the cursor is not one of this feed; start again without one")]
    InvalidCursor,
    /// The text is not a moment at which this inbox was read.
    #[error("the moment is not one of this inbox; use the one that came with the page")]
    InvalidMoment,
    /// This inbox does not contain the item. An item of another user gives the same error.
    #[error("there is no such notification in this inbox")]
    NotFound,
    /// The database refused or did not answer.
    #[error("the inbox was not read or written")]
    Store(#[from] StoreError),
}
