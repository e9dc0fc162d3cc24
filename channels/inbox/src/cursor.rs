//! A **cursor** is a place in a feed: after this item. It is opaque to clients, and new items do not move it.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::error::InboxError;

/// A place in a feed. Written with `to_string`, read with `parse`.
///
/// It names an item, not an offset, so new rows and items of the same instant do not shift pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub(crate) Uuid);

/// The version of the format; an older or newer cursor is refused, not misread.
const VERSION: &str = "c1";

impl Cursor {
    /// The place of an item, for a host that keeps places in a form of its own.
    #[must_use]
    pub const fn at(id: Uuid) -> Self {
        Self(id)
    }

    /// The id of the item at this place.
    #[must_use]
    pub const fn id(self) -> Uuid {
        self.0
    }

    /// The place just before this item: a page of older items begins with it.
    pub(crate) const fn just_newer(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_add(1)))
    }

    /// The place just after this item: a page of newer items ends with it.
    pub(crate) const fn just_older(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_sub(1)))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}{}", self.0.simple())
    }
}

impl FromStr for Cursor {
    type Err = InboxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(VERSION)
            .filter(|id| id.len() == 32)
            .and_then(|id| Uuid::try_parse(id).ok())
            .map(Self)
            .ok_or(InboxError::InvalidCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_other_text_is_refused() {
        let cursor = Cursor(Uuid::now_v7());
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "c1", "c2018f", "c1zz", "' or 1=1 --", "c1\0"] {
            assert!(
                matches!(bad.parse::<Cursor>(), Err(InboxError::InvalidCursor)),
                "{bad}"
            );
        }
    }
}
