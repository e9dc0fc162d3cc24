//! **Cursors** of the API: a place in one view of one user's feed, sealed so that it fits nowhere else.
//!
//! A cursor is a version, a direction, the item's id, and a tag: HMAC-SHA256, cut to 128 bits, over all of that and the
//! view it was given out for. Nothing in it is secret; what it says is not believed without the tag.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campanile_inbox::{Cursor, Filter};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use uuid::Uuid;

/// An older or newer cursor is refused, not misread.
const VERSION: u8 = 1;

/// The bytes of a tag.
const TAG: usize = 16;

/// Where the page is from the item that a cursor names.
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

/// A cursor that was not given out for this view, in this version, under this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOurs;

/// Seals cursors and opens them again.
#[derive(Debug)]
pub(crate) struct Seal(SecretSlice<u8>);

impl Seal {
    pub(crate) fn new(key: SecretSlice<u8>) -> Self {
        Self(key)
    }

    pub(crate) fn close(&self, view: View<'_>, direction: Direction, place: Cursor) -> String {
        let mut bytes = vec![VERSION, direction as u8];
        bytes.extend(place.id().as_bytes());
        let tag = self.mac(view, &bytes).finalize().into_bytes();
        bytes.extend(&tag[..TAG]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn open(&self, view: View<'_>, text: &str) -> Result<(Direction, Cursor), NotOurs> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotOurs)?;
        let (said, tag) = bytes.split_last_chunk::<TAG>().ok_or(NotOurs)?;
        // In a time that does not tell how much of the tag is right.
        self.mac(view, said)
            .verify_truncated_left(tag)
            .map_err(|_| NotOurs)?;
        let [VERSION, direction, id @ ..] = said else {
            return Err(NotOurs);
        };
        let direction = match direction {
            0 => Direction::Older,
            1 => Direction::Newer,
            _ => return Err(NotOurs),
        };
        let id = Uuid::from_slice(id).map_err(|_| NotOurs)?;
        Ok((direction, Cursor::at(id)))
    }

    fn mac(&self, view: View<'_>, said: &[u8]) -> Hmac<Sha256> {
        let filter: &[u8] = match view.filter {
            Filter::All => b"all",
            Filter::Unread => b"unread",
            Filter::Archived => b"archived",
            _ => b"another",
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret())
            .expect("a key may be of any length");
        let fields = [
            Some(&b"campanile cursor"[..]),
            Some(view.user.as_bytes()),
            view.org.map(str::as_bytes),
            view.category.map(str::as_bytes),
            Some(filter),
            Some(said),
        ];
        for field in fields {
            // With its length, so that no two views read the same, and nothing is not the same as empty.
            let length = field.map_or(u64::MAX, |field| field.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(field.unwrap_or_default());
        }
        mac
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

    fn seal() -> Seal {
        Seal::new(vec![7; 32].into())
    }

    #[test]
    fn a_cursor_opens_in_its_own_view_and_in_no_other() {
        let place = Cursor::at(Uuid::now_v7());
        for direction in [Direction::Older, Direction::Newer] {
            let text = seal().close(VIEW, direction, place);
            assert_eq!(seal().open(VIEW, &text), Ok((direction, place)));
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
                assert_eq!(seal().open(other, &text), Err(NotOurs), "{other:?}");
            }
            let other_key = Seal::new(vec![8; 32].into());
            assert_eq!(other_key.open(VIEW, &text), Err(NotOurs));
        }
    }

    #[test]
    fn a_cursor_of_which_one_bit_was_changed_is_refused() {
        let text = seal().close(VIEW, Direction::Older, Cursor::at(Uuid::now_v7()));
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(seal().open(VIEW, &changed), Err(NotOurs), "bit {bit}");
        }
        for length in 0..text.len() {
            assert_eq!(seal().open(VIEW, &text[..length]), Err(NotOurs));
        }
    }

    #[test]
    fn another_version_is_refused_although_it_is_sealed() {
        let mut bytes = vec![VERSION + 1, 0];
        bytes.extend(Uuid::now_v7().as_bytes());
        let tag = seal().mac(VIEW, &bytes).finalize().into_bytes();
        bytes.extend(&tag[..TAG]);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(seal().open(VIEW, &text), Err(NotOurs));
    }
}
