//! **Prunes** on an operator's call.

use std::sync::Arc;

use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::deliver::prune::{Pruned, Retention, prune};
use crate::operate::Operations;

impl Operations {
    /// Deletes what is past its retention, in batches of a thousand, and returns how much. A running
    /// [`Worker`](crate::Worker) does so every hour by itself; several may prune at once.
    ///
    /// One of its statements reads a whole table, and nobody waits for it, so each may take thirty times
    /// [`Database::statement_timeout`](crate::Database::statement_timeout): five minutes by default.
    ///
    /// # Errors
    ///
    /// When the database does not answer; what was deleted until then stays deleted.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it runs in a task of its own; each batch is deleted whole or not at all.
    pub async fn prune(&self, retention: Retention) -> Result<Pruned, StoreError> {
        let deliverer = Arc::clone(&self.deliverer);
        run_to_end(async move {
            let statements = &deliverer.prune_statements;
            prune(&deliverer.database, statements, retention).await
        })
        .await?
    }
}
