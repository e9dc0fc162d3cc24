//! The fault suite: real processes that are killed, stopped and misled, a database that crashes, a network that hangs, a provider
//! that misbehaves. After every scenario all deliveries run to their end, and the [`oracle`] checks the result.
//!
//! `cargo test` runs each scenario once. The longer form runs each randomized scenario many times, prints what the oracle found,
//! and can be repeated: the seed is printed, and can be set.
//!
//! ```text
//! CAMPANILE_FAULT_ROUNDS=20 CAMPANILE_FAULT_SEED=7 cargo test -p campanile-tests --test faults -- --nocapture
//! ```

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;
mod process;
mod rounds;
mod oracle;
mod windows;
mod ledgers;
mod oracle_itself;

mod killed;
mod committed;
mod server;
mod network;
mod pooled;
mod cancelled;
mod refused;
mod silent;
mod unheard;
mod misconfigured;
mod channels;
mod fleet;
mod stopped;
mod strangers;
mod crowd;
mod locks;
mod disk;
mod rolling;
mod clocks;
mod terminated;
mod long_transaction;
mod forgotten;
mod pruned;
mod chaos;
