//! One seam, many channels: notifications inside a Rust application.
//!
//! An [**event**](event) is declared. The [**registry**](Registry) knows it. [**Dispatch**](Dispatcher::dispatch) reads the
//! [**recipients**](recipient)' [**preferences**](preferences) once, [**plans**](plan::plan) every delivery in pure code,
//! claims the **dedup** windows and writes everything in one atomic statement, delivers over each
//! [**channel**](channel::Channel), and returns a [**report**](DispatchReport).

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(unused, reason = "without a database there is nothing to run")
)]

extern crate self as campanile;

pub mod event;
pub mod payload;
mod secret;
mod stored;
pub mod notice;
pub mod registry;
pub mod recipient;
pub mod preferences;
pub mod plan;
mod dedup;
pub mod render;
mod store;
pub mod channel;
pub mod delivery;
pub mod address;
pub mod setup;
mod dispatch;
mod transaction;
mod complete;
mod write;
pub mod policy;
mod bulkhead;
mod brake;
mod thread;
mod lease;
mod batch;
mod attempt;
mod left_alone;
mod reach;
mod look;
mod record;
mod settlement;
mod worker;
mod sweep;
mod upkeep;
mod wake;
mod commits;
pub mod fleet;
mod telemetry;
mod trace_context;
pub mod pauses;
pub mod deliveries;
pub mod prune;
mod account;
mod forget;
pub mod builder;
pub mod report;
pub mod error;
pub mod database;
mod connection;
mod dialect;
mod suggest;
#[doc(hidden)]
pub mod declare;

pub use async_trait::async_trait;
pub use campanile_registry_macros::notifiable_event;
pub use serde;
pub use serde_json;
pub use sqlx;
pub use uuid;

pub use crate::attempt::Attempted;
pub use crate::builder::Builder;
pub use crate::commits::Commits;
pub use crate::database::Database;
pub use crate::dispatch::{Dispatcher, Explanation};
pub use crate::error::{DispatchError, StoreError};
pub use crate::event::NotifiableEvent;
pub use crate::forget::{ForgetError, Forgotten};
pub use crate::notice::{Draft, EventRequest, Notice};
pub use crate::registry::{Registry, RegistryError};
pub use crate::report::{DispatchReport, Outcome, RecipientOutcome};
pub use crate::transaction::InTransaction;
pub use crate::wake::WakeUp;
pub use crate::worker::Worker;

/// Not public API: what the macros write.
#[doc(hidden)]
pub mod __private {
    pub use crate::declare;
    pub use inventory;
    pub use serde;
    pub use serde_json;
}
