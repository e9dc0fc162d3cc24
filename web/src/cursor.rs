//! **Cursors** of the API: a place in one view of one user's feed.
//!
//! A cursor is a version, a direction, an item's id, and a digest of its view. A cursor of another view is refused, so that a client
//! does not start in the middle of a feed. It needs no key: every query is limited to the caller's own rows, so a forged cursor is a
//! place in the caller's own feed, and every process can read every other's cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campanile_inbox::{Cursor, Filter};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The version of the format; an older or newer cursor is refused, not misread.
const VERSION: u8 = 2;

/// The bytes of a digest, enough to tell all views of a user apart.
const DIGEST: usize = 8;

/// On which side of a cursor's item the page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Older = 0,
    Newer = 1,
}

/// What a cursor is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) user: &'a str,
    pub(crate) org: Option<&'a str>,
    pub(crate) category: Option<&'a str>,
    pub(crate) filter: Filter,
}

/// A text that is not a cursor of this view, in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOfThisView;

impl View<'_> {
    /// The cursor of a place.
    pub(crate) fn cursor(self, direction: Direction, place: Cursor) -> String {
        let mut bytes = vec![VERSION, direction as u8];
        bytes.extend(place.id().as_bytes());
        bytes.extend(self.digest());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place that a cursor names.
    pub(crate) fn place(self, cursor: &str) -> Result<(Direction, Cursor), NotOfThisView> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| NotOfThisView)?;
        let Some(([VERSION, direction, id @ ..], digest)) = bytes.split_last_chunk() else {
            return Err(NotOfThisView);
        };
        if *digest != self.digest() {
            return Err(NotOfThisView);
        }
        let direction = match direction {
            0 => Direction::Older,
            1 => Direction::Newer,
            _ => return Err(NotOfThisView),
        };
        let id = Uuid::from_slice(id).map_err(|_| NotOfThisView)?;
        Ok((direction, Cursor::at(id)))
    }

    fn digest(self) -> [u8; DIGEST] {
        let filter = match self.filter {
            Filter::All => "all",
            Filter::Unread => "unread",
            Filter::Archived => "archived",
            _ => "another",
        };
        // As JSON, so that no two views have the same text, and `None` differs from an empty string.
        let view = serde_json::json!([self.user, self.org, self.category, filter]).to_string();
        *Sha256::digest(view)
            .first_chunk()
            .expect("a digest of SHA-256 has 32 bytes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View<'_> = View {
        user: "u_ada",
        org: None,
        category: None,
        filter: Filter::All,
    };

    #[test]
    fn a_cursor_is_valid_in_its_own_view_only() {
        let place = Cursor::at(Uuid::now_v7());
        for direction in [Direction::Older, Direction::Newer] {
            let cursor = VIEW.cursor(direction, place);
            assert_eq!(VIEW.place(&cursor), Ok((direction, place)));
            for other in [
                View {
                    user: "u_bob",
                    ..VIEW
                },
                View {
                    org: Some("org_1"),
                    ..VIEW
                },
                View {
                    org: Some(""),
                    ..VIEW
                },
                View {
                    category: Some("team"),
                    ..VIEW
                },
                View {
                    filter: Filter::Unread,
                    ..VIEW
                },
                View {
                    filter: Filter::Archived,
                    ..VIEW
                },
            ] {
                assert_eq!(other.place(&cursor), Err(NotOfThisView), "{other:?}");
            }
        }
    }

    #[test]
    fn a_truncated_cursor_is_refused() {
        let cursor = VIEW.cursor(Direction::Older, Cursor::at(Uuid::now_v7()));
        for length in 0..cursor.len() {
            assert_eq!(VIEW.place(&cursor[..length]), Err(NotOfThisView));
        }
    }

    #[test]
    fn another_version_or_direction_is_refused() {
        let cursor = VIEW.cursor(Direction::Newer, Cursor::at(Uuid::now_v7()));
        for place in [0, 1] {
            let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
            bytes[place] += 1;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(VIEW.place(&changed), Err(NotOfThisView), "byte {place}");
        }
    }
}
