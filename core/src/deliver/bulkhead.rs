//! A **bulkhead** keeps one channel's calls from taking the process: so many at once, so many a second, and none on a thread
//! that others need.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::channel::policy::Policy;
use crate::deliver::brake::{Brake, Room, Ticket};

/// One channel's calls in this process, those of workers and those of dispatches together.
pub(crate) struct Bulkhead {
    calls: Arc<Semaphore>,
    /// What goes on although nobody waits for it.
    pub(crate) detached: Detached,
    /// What slows them when the provider is in trouble.
    pub(crate) brake: Arc<Brake>,
    /// One tick for each call, if calls are limited. Made by the first of them: a timer needs a runtime.
    pace: Option<(Duration, Mutex<Option<Interval>>)>,
}

/// The permit to make one call; given back when the call is really over.
pub(crate) struct Permit(#[expect(dead_code, reason = "held, and dropped")] OwnedSemaphorePermit);

/// The rounds whose caller waits for them no longer.
#[derive(Debug, Default)]
pub(crate) struct Detached(Arc<watch::Sender<usize>>);

impl Detached {
    /// Leaves a round to end by itself.
    pub(crate) fn add(&self, mut round: JoinSet<()>) {
        let count = Arc::clone(&self.0);
        count.send_modify(|rounds| *rounds += 1);
        tokio::spawn(async move {
            if let Some(Err(error)) = round.join_next().await {
                tracing::error!(target: "campanile", %error, "a round of deliveries broke off; its leases will run out");
            }
            count.send_modify(|rounds| *rounds -= 1);
        });
    }

    /// Waits until all of them have ended.
    pub(crate) async fn ended(&self) {
        let mut rounds = self.0.subscribe();
        // It fails only without a sender, which is here.
        let _ = rounds.wait_for(|rounds| *rounds == 0).await;
    }
}

impl Bulkhead {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(
                policy.concurrency.min(Semaphore::MAX_PERMITS),
            )),
            detached: Detached::default(),
            brake: Arc::default(),
            pace: policy
                .calls_per_second
                .map(|calls| (Duration::from_secs(1) / calls.max(1), Mutex::new(None))),
        }
    }

    /// How many of so many deliveries it is worth to claim: none while the brake is on, or while calls that nobody waits for take
    /// all the places.
    pub(crate) fn room(&self, at_most: usize, max_batch: usize) -> usize {
        if self.calls.available_permits() == 0 && *self.detached.0.borrow() > 0 {
            return 0;
        }
        at_most.min(match self.brake.room() {
            Room::Nothing => 0,
            Room::One => 1,
            Room::Calls(calls) => calls.saturating_mul(max_batch),
            Room::Everything => usize::MAX,
        })
    }

    /// Waits for a permit to make a call. Those who wait are served in order. `None` if the brake is on.
    pub(crate) async fn enter(&self) -> Option<(Permit, Ticket)> {
        let calls = Arc::clone(&self.calls);
        let permit = calls
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let ticket = self.brake.admit().await?;
        if let Some((period, pace)) = &self.pace {
            let mut pace = pace.lock().await;
            let pace = pace.get_or_insert_with(|| {
                let mut pace = tokio::time::interval(*period);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                pace
            });
            pace.tick().await;
        }
        // It may have been put on meanwhile.
        (!ticket.is_void()).then(|| (Permit(permit), ticket))
    }
}
