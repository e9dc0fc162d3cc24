//! **Records** the outcomes of attempts while the lease lasts, and counts them.

use std::time::{Duration, Instant};

use crate::deliver::Deliverer;
use crate::deliver::lease::Lease;
use crate::observe::telemetry;
use crate::store::settle::{self, Recorded, Settled};

/// How often a failed record is retried, while the lease lasts.
const RECORD_AGAIN: Duration = Duration::from_millis(200);

/// Records outcomes, and retries while the lease lasts if the database fails.
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
                "verdicts were not recorded; their deliveries are retried after the lease"
            );
            break;
        }
        tracing::warn!(
            target: "campanile",
            channel,
            error = error as &dyn std::error::Error,
            "verdicts are not recorded yet; recording them is retried"
        );
        tokio::time::sleep(RECORD_AGAIN).await;
    }
    deliverer.left_alone.extend(&recorded.refused);
    // Leases that the heartbeat found to be lost are counted already.
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
