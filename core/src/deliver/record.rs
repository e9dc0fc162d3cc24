//! **Records** what came of attempts: logged, written down while the leases last, counted.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::deliver::Deliverer;
use crate::deliver::lease::Hold;
use crate::deliver::transition::Judged;
use crate::observe::telemetry;
use crate::report::Outcome;
use crate::store::settle::{self, Recorded, Settled};

/// How often a record that the database did not take is tried again, while the lease lasts.
const RECORD_AGAIN: Duration = Duration::from_millis(200);

impl Deliverer {
    /// Logs and records what was judged, and says what the report says of it.
    pub(crate) async fn conclude(
        &self,
        channel: &'static str,
        judged: Vec<Judged>,
        hold: &Hold,
    ) -> Vec<(Uuid, Outcome)> {
        for its in &judged {
            its.log(channel);
        }
        let policy = &self.channels[channel].policy;
        let settled: Vec<_> = judged.iter().map(|its| its.settled(policy)).collect();
        self.record(channel, &settled, hold).await;
        let pairs = judged.iter().zip(&settled);
        pairs
            .map(|(judged, settled)| judged.outcome(settled.state))
            .collect()
    }

    /// Records, and while the leases last records again if the database does not take it.
    pub(crate) async fn record(&self, channel: &'static str, settled: &[Settled], hold: &Hold) {
        if settled.is_empty() {
            return;
        }
        let last_try = Instant::now() + hold.left().saturating_sub(RECORD_AGAIN);
        let still_ours = hold.release(settled.iter().map(|its| its.id));
        let mut recorded = Recorded::default();
        while let Err(error) =
            settle::settle(&self.database, self.worker, settled, &mut recorded).await
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
        self.left_alone.extend(&recorded.refused);
        // What the heartbeat has missed before is counted already.
        let lost = still_ours.iter().filter(|id| recorded.was_lost(id));
        telemetry::leases_lost(channel, lost.count());
        for one in settled {
            if recorded.ours.contains(&one.id) {
                telemetry::delivery(channel, one.state.as_str());
            } else if recorded.parked.contains(&one.id) {
                telemetry::delivery(channel, "blocked");
            }
        }
        for its in settled {
            if let Some(outcome) = its.outcome {
                telemetry::attempt(channel, outcome, its.error_class);
            }
        }
    }
}
