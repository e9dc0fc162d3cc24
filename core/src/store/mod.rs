//! The **store**: rows in, rows out. It knows tables and clocks; it knows no event and no channel by name.
//!
//! `write` is what a dispatch writes, and `postgres` and `sqlite` how each database does it. Every statement is declared by
//! [`statement!`](crate::database::statement), so that it is composed once, and on the list that a test walks.

pub(crate) mod batch;
pub(crate) mod write;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod claim;
pub(crate) mod lease;
pub(crate) mod park;
pub(crate) mod settle;
pub(crate) mod release;
pub(crate) mod log;
pub(crate) mod pauses;
pub(crate) mod chores;
pub(crate) mod prune;
pub(crate) mod workers;
pub(crate) mod deliveries;
pub(crate) mod redrive;
pub(crate) mod addresses;
pub(crate) mod preferences;
pub(crate) mod forget;

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

pub(crate) use self::batch::{Batch, Candidate, DispatchRow};
pub(crate) use self::write::{
    Admission, Around, End, Lease, LocalInsert, Statements, Store, WriteError,
};

pub(crate) fn micros(duration: Duration) -> i64 {
    /// A century: longer than anything is kept, and short enough for a date.
    const MAX: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(duration.as_micros()).map_or(MAX, |micros| micros.min(MAX))
}

/// Rows of deliveries are locked by ascending id, everywhere: two statements that lock them in different orders wait for each other
/// in a ring. The order of an update is its plan's, so that one of several rows locks them first, by this; or it passes over what
/// somebody has locked. `$1` is rows with the `id` of the delivery.
const LOCKED: &str = "\
    locked as materialized (\
        select id from {campanile}notification_deliveries \
        where id in (select {uuid(value ->> 'id')} from {rows($1)} as given) order by id {for_update})";

/// The ids that a statement gave back as text.
fn uuids(texts: &[String]) -> HashSet<Uuid> {
    let uuids = texts.iter().filter_map(|id| Uuid::parse_str(id).ok());
    uuids.collect()
}
