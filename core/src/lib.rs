//! One seam, many channels: notifications inside a Rust application.
//!
//! An [**event**](event) is declared. The [**registry**](Registry) knows it. [**Dispatch**](Dispatcher::dispatch) reads the
//! recipients' [**preferences**](preferences) once, [**plans**](plan::plan) every delivery in pure code, claims the **dedup**
//! windows and writes everything in one atomic statement, delivers over each [**channel**](channel::Channel), and returns a
//! [**report**](DispatchReport).
//!
//! | you | begin at |
//! |---|---|
//! | write an app: declare events and dispatch them | [`notifiable_event`](macro@notifiable_event), [`event`], [`Dispatcher`], [`Worker`] |
//! | write a settings page | [`preferences`] |
//! | write a channel | [`channel`] |
//! | operate an app: deliveries, pauses, pruning, erasure | [`operate`] |
//! | plug in a database or a transaction of your own | [`database`], [`InTransaction`] |

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(unused, reason = "without a database there is nothing to run")
)]

extern crate self as campanile;

mod location;
mod state;
pub mod event;
pub mod channel;
pub mod plan;
pub mod database;
mod store;
mod observe;
mod deliver;
mod dispatch;
pub mod operate;
mod report;
mod limits;
mod dispatcher;
mod builder;
mod commits;
mod error;

pub use async_trait::async_trait;
pub use campanile_registry_macros::notifiable_event;
pub use serde;
pub use serde_json;
pub use sqlx;
pub use uuid;

pub use crate::builder::Builder;
pub use crate::channel::erasure::ErasureKey;
pub use crate::commits::Commits;
pub use crate::database::Database;
pub use crate::database::error::StoreError;
pub use crate::database::transaction::InTransaction;
pub use crate::database::wake::WakeUp;
pub use crate::deliver::round::Attempted;
pub use crate::deliver::worker::Worker;
pub use crate::dispatch::Explanation;
pub use crate::dispatcher::Dispatcher;
pub use crate::error::DispatchError;
pub use crate::event::NotifiableEvent;
pub use crate::event::notice::{Draft, EventRequest, Notice};
pub use crate::plan::registry::{Registry, RegistryError};
pub use crate::report::{DispatchReport, Outcome, RecipientOutcome, Retry};

/// What users choose: the rule, and the settings of one user.
pub mod preferences {
    pub use crate::event::Weight;
    pub use crate::operate::preferences::{
        CategoryRow, Cell, CellChange, EventRow, Matrix, PreferenceError, UserPreferences,
    };
    pub use crate::plan::preference::{Choice, Choices, Rule, decide};
}

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod render {
    pub use crate::plan::render::promises;
}

/// Not public API: what the macros write, and what tests of the whole ask for.
#[doc(hidden)]
pub mod __private {
    pub use crate::database::statement::Listed;
    pub use crate::event::declare;
    pub use inventory;
    pub use serde;
    pub use serde_json;

    /// Every statement of a dispatcher in the dialect of its database, by a name.
    #[must_use]
    pub fn statements(dispatcher: &crate::Dispatcher) -> Vec<(String, String)> {
        dispatcher.statements()
    }
}
