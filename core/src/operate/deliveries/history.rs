//! The **history** of a notification: its deliveries, and the log of their attempts.

use serde::Serialize;
use uuid::Uuid;

use crate::database::error::StoreError;
use crate::operate::Operations;
use crate::store::deliveries::{self as store, Attempt, DeliverySummary};

/// What happened to one notification on its remote channels, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliveryHistory {
    /// Its deliveries, by channel.
    pub deliveries: Vec<DeliverySummary>,
    /// Their attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Operations {
    /// What happened to one notification on its remote channels: its deliveries and the log of their attempts. Empty for
    /// one that has none.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn history(&self, notification: Uuid) -> Result<DeliveryHistory, StoreError> {
        Ok(DeliveryHistory {
            deliveries: store::of_notification(self.database(), notification).await?,
            attempts: store::attempts(self.database(), notification).await?,
        })
    }
}
