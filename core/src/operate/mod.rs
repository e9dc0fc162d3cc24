//! **Operate**: what an operator sees and changes. No other room imports it.

pub mod deliveries;
pub mod pauses;
pub mod fleet;
pub mod prune;
pub(crate) mod forget;
