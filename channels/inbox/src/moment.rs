//! **Moments** of a database, and how it finds what was committed after one. [`crate::Watch`] polls by them, and they limit which
//! items are marked as read or seen together.

use std::fmt;
use std::str::FromStr;

use campanile::Database;

use crate::error::InboxError;

/// When an inbox was read, in the order in which its database commits: it separates what was visible then from what was committed
/// later, whatever the clocks of the writers. Opaque to clients; written with `to_string`, read with `parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment(String);

impl Moment {
    pub(crate) const fn of_database(text: String) -> Self {
        Self(text)
    }

    /// The moment as the database reads it. It is refused if it is of the other kind of database.
    pub(crate) fn for_database(&self, database: &Database) -> Result<&str, InboxError> {
        let is_snapshot = self.0.contains(':');
        if is_snapshot == (database.kind() == "Postgres") {
            Ok(&self.0)
        } else {
            Err(InboxError::InvalidMoment)
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a write on SQLite, or a snapshot on Postgres: its first and its last transaction, and those in between that were
/// open.
impl FromStr for Moment {
    type Err = InboxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_snapshot = || -> Option<bool> {
            let (first, rest) = text.split_once(':')?;
            let (last, open) = rest.split_once(':')?;
            let (first, last) = (number(first)?, number(last)?);
            let mut before = first;
            for id in open.split(',').filter(|_| !open.is_empty()) {
                let id = number(id)?;
                if id < before || id >= last {
                    return None;
                }
                before = id;
            }
            Some(0 < first && first <= last)
        };
        if number(text).is_some() || is_snapshot() == Some(true) {
            return Ok(Self(text.to_owned()));
        }
        Err(InboxError::InvalidMoment)
    }
}

/// A number as a database writes it.
fn number(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// The number of the last write on SQLite.
macro_rules! last_number {
    () => {
        "coalesce((select max(changed_in) from campanile_notifications), 0)"
    };
}

/// The number of a write on SQLite: the time, or one more than the last one if that is later. There is one writer at a time, so
/// the numbers rise in the order of the commits. Because of the time, no number is reused after the last item was removed.
macro_rules! next_number {
    () => {
        concat!(
            "max(cast(unixepoch('subsec') * 1000000 as integer), 1 + ",
            $crate::moment::last_number!(),
            ")"
        )
    };
}
pub(crate) use {last_number, next_number};

// How a database finds what was committed since a moment.
//
// On Postgres a moment is a snapshot. The first two conditions of `SINCE` are the range of the index, and the third one says
// which of the transactions in it the snapshot did not see. No visible item was written by a transaction beyond the snapshot's
// end, unless it was restored from a dump of another server, whose numbers mean nothing here.
//
// On SQLite a moment is the number of the last write.

/// The number of this write.
pub(crate) const THIS_WRITE: &str = concat!(
    "{postgres(pg_current_xact_id())}{sqlite(",
    next_number!(),
    ")}"
);

/// The current moment, as text.
pub(crate) const NOW: &str = concat!(
    "{postgres(pg_current_snapshot()::text)}{sqlite(cast(",
    last_number!(),
    " as text))}"
);

/// Whether the current moment is before the moment `$1`.
pub(crate) const EARLIER: &str = concat!(
    "{postgres(pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::pg_snapshot))}{sqlite(",
    last_number!(),
    " < cast($1 as integer))}"
);

/// Whether an item did not exist yet at the moment `$1`.
pub(crate) const IS_NEW: &str = "\
    {postgres(not pg_visible_in_snapshot(created_in, $1::pg_snapshot))}{sqlite(created_in > cast($1 as integer))}";

/// Whether an item was created or changed after the moment `$1`.
pub(crate) const SINCE: &str = "\
    {postgres(changed_in >= pg_snapshot_xmin($1::pg_snapshot) and changed_in < pg_snapshot_xmax(pg_current_snapshot()) \
        and not pg_visible_in_snapshot(changed_in, $1::pg_snapshot))}{sqlite(changed_in > cast($1 as integer))}";

/// Whether an item was visible at the moment `$4`.
pub(crate) const WAS_THERE: &str = "\
    {postgres((pg_visible_in_snapshot(created_in, $4::pg_snapshot) \
        or created_in >= pg_snapshot_xmax(pg_current_snapshot())))}\
    {sqlite((created_in <= cast($4 as integer)))}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_round_trips_and_other_text_is_refused() {
        for good in ["0", "1796000000000000", "7:9:", "7:7:", "7:12:7,9,11"] {
            assert_eq!(good.parse::<Moment>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "-1",
            "+1",
            "1.5",
            " 1",
            "9223372036854775808",
            ":",
            "::",
            "7:9",
            "7:9::",
            "9:7:",
            "0:1:",
            "7:9:8,",
            "7:9:,8",
            "7:9:6",
            "7:9:9",
            "7:12:9,8",
            "7:9:10",
            "7:9:x",
            "7:9:8\0",
            "' or 1=1 --",
        ] {
            assert!(
                matches!(bad.parse::<Moment>(), Err(InboxError::InvalidMoment)),
                "{bad}"
            );
        }
    }
}
