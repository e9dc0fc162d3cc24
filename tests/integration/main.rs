//! The promises across crates, each told once and kept on SQLite and on Postgres.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod worked_cases;
mod account;
mod concurrency;
mod round_trips;
mod transactions;
mod repeats;
mod half_open;
mod cancellation;
mod bad_input;
mod untyped;
mod explain;
mod preferences;
mod rendering;
mod inbox;
mod email;
mod push;
mod fourth_channel;
mod delivery;
mod windows;
mod refused_rows;
mod batches;
mod worker;
mod leases;
mod lock_order;
mod policies;
mod long_calls;
mod blocking;
mod address_book;
mod last_look;
mod expiry;
mod strangers;
mod wake;
mod pauses;
mod operations;
mod pruning;
mod faults_of_channels;
mod logging;
mod registry;
mod databases;
mod upgrades;
mod forget;
mod model;
mod commits;
mod changes;
