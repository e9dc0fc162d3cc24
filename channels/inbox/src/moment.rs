//! **Moments** of a database, and how it tells what was committed since one: what [`crate::Watch`] goes by.

use campanile::Database;

/// The number of the last write on SQLite.
macro_rules! last_number {
    () => {
        "coalesce((select changed_in from notifications where changed_in is not null order by changed_in desc limit 1), 0)"
    };
}

/// The number of a write on SQLite: the time, or one more than the last one if that is later. There is one writer at a time, so
/// the numbers rise in the order of the commits. The time keeps a number from being given again when the last item is removed.
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

/// How a database tells what was committed since a moment.
pub(crate) struct Moments {
    /// What this write is numbered by.
    pub(crate) this_write: &'static str,
    /// This moment, as text.
    pub(crate) now: &'static str,
    /// Whether it is before the moment `$1`.
    pub(crate) earlier: &'static str,
    /// Whether an item was not there yet at the moment `$1`.
    pub(crate) is_new: &'static str,
    /// Whether an item was not as it is at the moment `$1`.
    pub(crate) since: &'static str,
}

impl Moments {
    pub(crate) fn of(database: &Database) -> &'static Self {
        if database.kind() == "Postgres" {
            &IN_POSTGRES
        } else {
            &IN_SQLITE
        }
    }
}

/// A moment is a snapshot. The first two conditions are the range of the index, and the third one says which of the transactions
/// in it the snapshot did not see. No item that can be seen was written by a transaction beyond the snapshot's end, unless it
/// came with a dump from another server, whose numbers mean nothing here.
const IN_POSTGRES: Moments = Moments {
    this_write: "pg_current_xact_id()",
    now: "pg_current_snapshot()::text",
    earlier: "pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax($1::pg_snapshot)",
    is_new: "not pg_visible_in_snapshot(created_in, $1::pg_snapshot)",
    since: "changed_in >= pg_snapshot_xmin($1::pg_snapshot) and changed_in < pg_snapshot_xmax(pg_current_snapshot()) \
            and not pg_visible_in_snapshot(changed_in, $1::pg_snapshot)",
};

/// A moment is the number of the last write.
const IN_SQLITE: Moments = Moments {
    this_write: next_number!(),
    now: concat!("cast(", last_number!(), " as text)"),
    earlier: concat!(last_number!(), " < cast($1 as integer)"),
    is_new: "created_in > cast($1 as integer)",
    since: "changed_in > cast($1 as integer)",
};
