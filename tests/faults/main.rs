//! The fault suite: real processes that are killed, stopped and lied to, a database that crashes, a network that hangs, a
//! provider that misbehaves. After every scenario everything is let run out, and the [`oracle`] looks at what is left.
//!
//! `cargo test` runs each scenario once. The longer form runs each of those with dice in them many times, prints what the
//! oracle found, and can be repeated: the seed is printed, and may be given.
//!
//! ```text
//! CAMPANILE_FAULT_ROUNDS=20 CAMPANILE_FAULT_ROWS=1000000 CAMPANILE_FAULT_SEED=7 cargo test -p campanile-tests --test faults -- --nocapture
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
mod migrated;
mod rolling;
mod clocks;
mod terminated;
mod long_transaction;
mod forgotten;
mod pruned;
mod chaos;
