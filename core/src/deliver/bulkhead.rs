//! A **bulkhead** keeps one channel's calls from taking the process: so many at once, so many a second, and none on a thread
//! that others need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::Instrument as _;

use crate::channel::Channel;
use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::channel::policy::Policy;
use crate::deliver::brake::{Brake, Room, Ticket};
use crate::deliver::thread::{NoAnswer, on_own_thread};

/// One channel's calls in this process, those of workers and those of dispatches together.
pub(crate) struct Bulkhead {
    calls: Arc<Semaphore>,
    /// What goes on although nobody waits for it.
    pub(crate) left: Left,
    /// What slows them when the provider is in trouble.
    pub(crate) brake: Arc<Brake>,
    /// One tick for each call, if calls are limited. Made by the first of them: a timer needs a runtime.
    pace: Option<(Duration, Mutex<Option<Interval>>)>,
}

/// The permit to make one call; given back when the call is really over.
pub(crate) struct Permit(#[expect(dead_code, reason = "held, and dropped")] OwnedSemaphorePermit);

/// The shares of deliveries whose caller waits for them no longer.
#[derive(Debug, Default)]
pub(crate) struct Left(Arc<watch::Sender<usize>>);

impl Left {
    /// Leaves a share to end by itself.
    pub(crate) fn add(&self, mut share: JoinSet<()>) {
        let count = Arc::clone(&self.0);
        count.send_modify(|shares| *shares += 1);
        tokio::spawn(async move {
            if let Some(Err(error)) = share.join_next().await {
                tracing::error!(target: "campanile", %error, "a share of deliveries broke off; its leases will run out");
            }
            count.send_modify(|shares| *shares -= 1);
        });
    }

    /// Waits until all of them have ended.
    pub(crate) async fn ended(&self) {
        let mut shares = self.0.subscribe();
        // It fails only without a sender, which is here.
        let _ = shares.wait_for(|shares| *shares == 0).await;
    }
}

impl Bulkhead {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(
                policy.concurrency.min(Semaphore::MAX_PERMITS),
            )),
            left: Left::default(),
            brake: Arc::default(),
            pace: policy
                .calls_per_second
                .map(|calls| (Duration::from_secs(1) / calls.max(1), Mutex::new(None))),
        }
    }

    /// How many of so many deliveries it is worth to claim: none while the brake is on, or while calls that nobody waits for take
    /// all the places.
    pub(crate) fn room(&self, at_most: usize, max_batch: usize) -> usize {
        if self.calls.available_permits() == 0 && *self.left.0.borrow() > 0 {
            return 0;
        }
        at_most.min(match self.brake.room() {
            Room::Nothing => 0,
            Room::One => 1,
            Room::Calls(calls) => calls.saturating_mul(max_batch),
            Room::Everything => usize::MAX,
        })
    }

    /// Waits for leave to make a call. Those who wait are served in order. `None` if the brake is on.
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

/// One call of a channel: a panic, a hang or a wrong number of verdicts becomes a verdict.
///
/// It runs on a thread of its own, so that a channel that blocks it holds up nobody else; such a call keeps its leave until
/// it really ends, so that a channel cannot take more threads than it may make calls. No thread keeps the process from ending.
pub(crate) async fn call(
    channel: Arc<dyn Channel>,
    batch: Vec<Delivery>,
    timeout: Duration,
    leave: Permit,
) -> (Vec<Verdict>, Duration) {
    let started = Instant::now();
    let deliveries = batch.len();
    let is_frozen = batch.iter().any(|its| its.batch_id.is_some());
    let call = async move { tokio::time::timeout(timeout, channel.deliver(&batch)).await };
    let thread = on_own_thread(leave, call.in_current_span());
    // A little longer than the call itself may take: it is over by then, unless it blocks its thread.
    let patience = timeout + Duration::from_millis(100);
    let verdict = match tokio::time::timeout(patience, thread).await {
        Ok(Ok(Ok(verdicts))) if verdicts.len() == deliveries => {
            return (verdicts, started.elapsed());
        }
        Ok(Ok(Ok(verdicts))) => Verdict::unknown(DeliveryError::new(format!(
            "the channel gave {} verdicts for {deliveries} deliveries",
            verdicts.len(),
        ))),
        Ok(Err(NoAnswer::Panicked)) => {
            let error = DeliveryError::new("the channel panicked").with_class(ErrorClass::Panic);
            if is_frozen {
                // Its provider may have taken it: it must come again as it was.
                Verdict::unknown(error)
            } else {
                Verdict::retry(error)
            }
        }
        Ok(Err(NoAnswer::NoThread(error))) => Verdict::retry(
            DeliveryError::new(format!("there is no thread for the call: {error}"))
                .with_class(ErrorClass::Internal),
        ),
        Ok(Ok(Err(_))) | Err(_) => Verdict::unknown(
            DeliveryError::new(format!("the channel did not answer within {timeout:?}"))
                .with_class(ErrorClass::Timeout),
        ),
    };
    (vec![verdict; deliveries], started.elapsed())
}
