//! A **bulkhead** keeps one channel's calls from exhausting the process: it limits the calls at once and the calls per second,
//! and no call runs on a thread that others need.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::channel::policy::Policy;
use crate::deliver::brake::{Brake, Room, Ticket};

/// The limits of one channel's calls in this process, from workers and dispatches together.
pub(crate) struct Bulkhead {
    calls: Arc<Semaphore>,
    /// The rounds that continue although no caller waits for them.
    pub(crate) detached: Detached,
    /// Slows the calls when the provider has trouble.
    pub(crate) brake: Arc<Brake>,
    /// One tick per call, if the rate of calls is limited. Created by the first call: a timer needs a runtime.
    pace: Option<(Duration, Mutex<Option<Interval>>)>,
}

/// The permit to make one call; returned when the call has really ended.
pub(crate) struct Permit(#[expect(dead_code, reason = "held, and dropped")] OwnedSemaphorePermit);

/// The rounds whose caller no longer waits for them.
#[derive(Debug, Default)]
pub(crate) struct Detached(Arc<watch::Sender<usize>>);

impl Detached {
    /// Lets a round finish in the background.
    pub(crate) fn add(&self, mut round: JoinSet<()>) {
        let count = Arc::clone(&self.0);
        count.send_modify(|rounds| *rounds += 1);
        tokio::spawn(async move {
            if let Some(Err(error)) = round.join_next().await {
                tracing::error!(target: "campanile", %error, "a round of deliveries was aborted; its leases will expire");
            }
            count.send_modify(|rounds| *rounds -= 1);
        });
    }

    /// Waits until all of them have ended.
    pub(crate) async fn ended(&self) {
        let mut rounds = self.0.subscribe();
        // It fails only without a sender, and the sender is in `self`.
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

    /// How many of up to this many deliveries are worth claiming: none while the brake is applied, or while background calls hold
    /// all permits.
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

    /// Waits for a permit to make a call. Waiting tasks are served in order. `None` if the brake is applied.
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
        // The brake may have been applied meanwhile.
        (!ticket.is_void()).then(|| (Permit(permit), ticket))
    }
}
