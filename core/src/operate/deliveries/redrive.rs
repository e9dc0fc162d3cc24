//! **Redriving** the dead: a fixed set of them, counted first.

use uuid::Uuid;

use crate::database::error::StoreError;
use crate::operate::Operations;
use crate::store::redrive;

pub use crate::store::redrive::DeadFilter;

impl Operations {
    /// How many deliveries [`Operations::redrive_dead`] would make due.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn count_dead(&self, filter: DeadFilter<'_>) -> Result<u64, StoreError> {
        let until = redrive::until(self.database(), filter).await?;
        Ok(redrive::count(self.database(), filter, until).await?)
    }

    /// Makes dead deliveries due now, each with a fresh set of attempts, and returns how many. Deliveries that die while it runs,
    /// that have expired, or whose secret was erased stay dead. Like [`Operations::retry_delivery`], it opens no window.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// A thousand are changed in one statement. A future dropped in between leaves some of them dead; call it again.
    pub async fn redrive_dead(&self, filter: DeadFilter<'_>) -> Result<u64, StoreError> {
        let until = redrive::until(self.database(), filter).await?;
        let (mut redriven, mut after) = (0, Uuid::nil());
        loop {
            let batch = redrive::redrive(self.database(), filter, until, after).await?;
            redriven += batch.len() as u64;
            match batch.into_iter().max() {
                Some(last) => after = last,
                None => break,
            }
        }
        if redriven > 0 {
            self.deliverer.queued.send(self.database());
        }
        Ok(redriven)
    }
}
