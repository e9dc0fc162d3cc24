//! The **store**: rows in, rows out. It knows about tables and clocks, but about no event or channel by name.
//!
//! `write` is the write of a dispatch, and `postgres` and `sqlite` are its implementations. Every statement is declared with
//! [`statement!`](crate::database::statement), so that it is composed once and checked by the test that prepares all statements.

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
pub(crate) mod removal;
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
    /// A century: longer than any row is kept, and short enough for a valid date.
    const MAX: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(duration.as_micros()).map_or(MAX, |micros| micros.min(MAX))
}

/// Rows of deliveries are locked by ascending id, everywhere: two statements that lock them in different orders deadlock. An
/// update locks rows in the order of its plan, so an update of several rows locks them first, with this piece; or it skips locked
/// rows. `$1` is rows with the `id` of the delivery.
const LOCKED: &str = "\
    locked as materialized (\
        select id from {campanile}notification_deliveries \
        where id in (select {uuid(value ->> 'id')} from {rows($1)} as given) order by id {for_update})";

/// That `other` is a delivery of the same notification as `delivery`, or `delivery` itself: their ids are adjacent.
const SIBLING: &str = "\
    other.id > delivery.notification_id and other.id <= {last_delivery(delivery.notification_id)}";

/// The ids that a statement returned as text.
fn uuids(texts: &[String]) -> HashSet<Uuid> {
    let uuids = texts.iter().filter_map(|id| Uuid::parse_str(id).ok());
    uuids.collect()
}
