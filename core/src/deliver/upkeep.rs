//! The **upkeep** of a running worker: about once an hour one worker of the fleet prunes.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;

use crate::deliver::Deliverer;
use crate::deliver::maintenance::SWEEP_EVERY;
use crate::deliver::prune::Retention;
use crate::store::chores;

/// How often the fleet prunes.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// Prunes whenever it is this worker's turn, until it is dropped. A batch that is under way then ends by itself.
pub(crate) async fn keep_pruned(inner: Arc<Deliverer>, retention: Retention) {
    loop {
        let pause = rand::rng().random_range(SWEEP_EVERY / 2..=SWEEP_EVERY);
        tokio::time::sleep(pause).await;
        let turn = chores::take_turn(&inner.database, chores::PRUNE, inner.worker, PRUNE_EVERY);
        let pruned = match turn.await {
            Ok(false) => continue,
            Ok(true) => inner.prune(retention).await,
            Err(error) => Err(error.into()),
        };
        match pruned {
            Ok(pruned) => {
                tracing::info!(target: "campanile", ?pruned, "what ended long ago was pruned");
            }
            Err(error) => tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "what ended long ago was not pruned; it is tried again in about an hour"
            ),
        }
    }
}
