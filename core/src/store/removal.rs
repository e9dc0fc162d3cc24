//! **Removes** deliveries with their log, and the content that no other delivery shares.
//!
//! Whoever removes deliveries locks them and their dispatches first.

use crate::database::{Statement, statement};

/// How many of the deliveries `$1` there are of each dispatch.
const GOING: &str = "\
    with going as materialized (\
        select dispatch_id, count(*) as deliveries from {campanile}notification_deliveries \
        where id in (select {uuids($1)}) group by dispatch_id)";

statement! {
    /// Deletes the dispatches whose last deliveries are removed.
    CONTENT = "\
        {going} delete from {campanile}notification_dispatches where id in (\
            select dispatch.id from going join {campanile}notification_dispatches as dispatch on dispatch.id = going.dispatch_id \
            where going.deliveries >= dispatch.deliveries)",
    going = GOING
}

statement! {
    /// Lowers the count of a dispatch that keeps other deliveries.
    SHARED = "\
        {going} update {campanile}notification_dispatches as dispatch set deliveries = dispatch.deliveries - going.deliveries \
        from going where going.dispatch_id = dispatch.id",
    going = GOING
}

statement! {
    ATTEMPTS = "delete from {campanile}notification_attempts where delivery_id in (select {uuids($1)})"
}

statement! {
    DELIVERIES = "delete from {campanile}notification_deliveries where id in (select {uuids($1)})"
}

/// In their order; `$1` is the deliveries.
pub(super) static STEPS: [&Statement; 4] = [&CONTENT, &SHARED, &ATTEMPTS, &DELIVERIES];
