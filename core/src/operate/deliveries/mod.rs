//! **Deliveries**, as an operator sees and changes them: count, list, history; retry, cancel, redrive the dead.
//!
//! Every change is guarded by the state it starts from: a delivery that is running or was delivered is not changed.

use uuid::Uuid;

use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::operate::Operations;
use crate::store::{deliveries as store, settle};

pub use crate::state::DeliveryState;
pub use crate::store::deliveries::{Attempt, DeliveryCount, DeliverySummary};

mod redrive;
mod history;

pub use history::DeliveryHistory;
pub use redrive::DeadFilter;

/// The maximum number of deliveries in one list.
pub const MAX_LIST: usize = 1_000;

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..DeliveryFilter::default()`"
)]
pub struct DeliveryFilter<'a> {
    /// Of this channel only.
    pub channel: Option<&'a str>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// Only deliveries older than this one, the last of the previous page.
    pub before: Option<Uuid>,
    /// At most this many, and never more than [`MAX_LIST`]; 0 means 100.
    pub limit: usize,
}

/// Why a delivery was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryChangeError {
    /// There is no such delivery.
    #[error("there is no delivery {0}")]
    NotFound(Uuid),
    /// Its state does not allow it.
    #[error("the delivery {id} is {}, and cannot be {change}", state.as_str())]
    WrongState {
        /// The delivery.
        id: Uuid,
        /// Its state.
        state: DeliveryState,
        /// What was asked for.
        change: &'static str,
    },
    /// It had a secret in it, which was erased when it ended.
    #[error(
        "the delivery {0} had a secret in it, which was erased when it ended; dispatch the event again"
    )]
    Erased(Uuid),
    /// The database refused or did not answer.
    #[error("the delivery was not changed")]
    Store(#[from] StoreError),
}

impl Operations {
    /// How many deliveries there are, by channel and state.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn delivery_counts(&self) -> Result<Vec<DeliveryCount>, StoreError> {
        Ok(store::counts(self.database()).await?)
    }

    /// Lists deliveries, newest first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter<'_>,
    ) -> Result<Vec<DeliverySummary>, StoreError> {
        let limit = match filter.limit {
            0 => 100,
            limit => limit.min(MAX_LIST),
        };
        let page = store::page(
            self.database(),
            filter.channel,
            filter.state,
            filter.before,
            limit,
        );
        Ok(page.await?)
    }

    /// Makes a delivery due now, with a fresh set of attempts, whatever kept it from being delivered, also if it has expired. It
    /// opens no window: if the window was released and the event was dispatched again since, the user is notified twice.
    ///
    /// # Errors
    ///
    /// [`DeliveryChangeError::WrongState`] for one that is under way or delivered, [`DeliveryChangeError::Erased`] for one that had
    /// a secret in it and has ended.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is due or it is as before.
    pub async fn retry_delivery(&self, id: Uuid) -> Result<(), DeliveryChangeError> {
        let changed = store::retry(self.database(), id).await;
        if changed.map_err(StoreError::from)? {
            self.deliverer.queued.send(self.database());
            return Ok(());
        }
        Err(self.refusal(id, "tried again").await)
    }

    /// Cancels a delivery that waits. If nobody was reached on any channel, its window is released.
    ///
    /// # Errors
    ///
    /// [`DeliveryChangeError::WrongState`] for one that is under way or has ended.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own: it is cancelled and its window released, or neither.
    pub async fn cancel_delivery(&self, id: Uuid) -> Result<(), DeliveryChangeError> {
        let database = self.database().clone();
        let cancelled = run_to_end(async move { settle::cancel(&database, id).await }).await?;
        if cancelled.map_err(StoreError::from)? {
            return Ok(());
        }
        Err(self.refusal(id, "cancelled").await)
    }

    /// Why a delivery was not changed.
    async fn refusal(&self, id: Uuid, change: &'static str) -> DeliveryChangeError {
        match store::by_id(self.database(), id)
            .await
            .map_err(StoreError::from)
        {
            Err(error) => error.into(),
            Ok(found) => match found {
                None => DeliveryChangeError::NotFound(id),
                Some(found) if found.erased && found.state != DeliveryState::Delivered => {
                    DeliveryChangeError::Erased(id)
                }
                Some(found) => DeliveryChangeError::WrongState {
                    id,
                    state: found.state,
                    change,
                },
            },
        }
    }
}
