//! **Records** what came of attempts: written down while the lease lasts, and counted.

use std::time::{Duration, Instant};

use crate::deliver::Deliverer;
use crate::deliver::lease::Lease;
use crate::observe::telemetry;
use crate::store::settle::{self, Recorded, Settled};

/// How often a record that the database did not take is tried again, while the lease lasts.
const RECORD_AGAIN: Duration = Duration::from_millis(200);

/// Records, and while the lease lasts records again if the database does not take it.
pub(crate) async fn record(
    deliverer: &Deliverer,
    channel: &'static str,
    rows: &[Settled],
    lease: &Lease,
) {
    if rows.is_empty() {
        return;
    }
    let last_try = Instant::now() + lease.left().saturating_sub(RECORD_AGAIN);
    let still_ours = lease.end(rows.iter().map(|row| row.id));
    let mut recorded = Recorded::default();
    while let Err(error) =
        settle::settle(&deliverer.database, deliverer.worker, rows, &mut recorded).await
    {
        let error = &error;
        if !error.is_transient() || Instant::now() >= last_try {
            tracing::error!(
                target: "campanile",
                channel,
                error = error as &dyn std::error::Error,
                "verdicts were not recorded; their deliveries come again after the lease"
            );
            break;
        }
        tracing::warn!(
            target: "campanile",
            channel,
            error = error as &dyn std::error::Error,
            "verdicts are not recorded yet; they are recorded again"
        );
        tokio::time::sleep(RECORD_AGAIN).await;
    }
    deliverer.left_alone.extend(&recorded.refused);
    // What the heartbeat has missed before is counted already.
    let lost = still_ours.iter().filter(|id| recorded.was_lost(id));
    telemetry::leases_lost(channel, lost.count());
    count(channel, rows, &recorded);
}

fn count(channel: &'static str, rows: &[Settled], recorded: &Recorded) {
    for row in rows {
        if recorded.ours.contains(&row.id) {
            telemetry::delivery(channel, row.state.as_str());
        } else if recorded.parked.contains(&row.id) {
            telemetry::delivery(channel, "blocked");
        }
    }
    for row in rows {
        if let Some(outcome) = row.outcome {
            telemetry::attempt(channel, outcome, row.error_class);
        }
    }
}
