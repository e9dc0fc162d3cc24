//! **Deliver**: one delivery from its claim to its record. The only room that calls a channel.

pub mod address;
pub(crate) mod worker;
pub(crate) mod attempt;
pub(crate) mod reach;
pub(crate) mod batch;
pub(crate) mod look;
pub(crate) mod bulkhead;
pub(crate) mod brake;
pub(crate) mod thread;
pub(crate) mod lease;
pub(crate) mod settlement;
pub(crate) mod record;
pub(crate) mod left_alone;
pub(crate) mod sweep;
pub(crate) mod upkeep;
