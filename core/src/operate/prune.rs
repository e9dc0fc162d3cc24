//! **Prunes** when an operator says so.

use std::sync::Arc;

use crate::database::error::StoreError;
use crate::deliver::prune::{Pruned, Retention};
use crate::operate::Operations;

impl Operations {
    /// Deletes what is older than the retention, in batches of a thousand, and says how much. A running
    /// [`Worker`](crate::Worker) does so every hour by itself; several may prune at once.
    ///
    /// Nobody waits for a chore, and one of its statements reads a whole table, so that each may take thirty times
    /// [`Database::statement_timeout`](crate::Database::statement_timeout): five minutes.
    ///
    /// # Errors
    ///
    /// When the database does not answer; what was deleted until then stays deleted.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own; each batch is deleted whole or not at all.
    pub async fn prune(&self, retention: Retention) -> Result<Pruned, StoreError> {
        let inner = Arc::clone(&self.deliverer);
        let pruning = tokio::spawn(async move { inner.prune(retention).await });
        pruning.await.map_err(|_| StoreError::interrupted())?
    }
}
