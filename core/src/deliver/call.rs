//! The **calls** of a round: each waits for a permit, checks opt-outs once more, calls the channel, and turns its verdicts into
//! transitions.
//!
//! Deliveries whose call may not start are given back unchanged: after the time to start, when the lease may be lost, after a
//! stop, or while the brake is applied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Instrument as _;

use crate::channel::Channel;
use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::channel::scrub::scrub_verdicts;
use crate::deliver::Deliverer;
use crate::deliver::brake::{Answer, Then, Ticket};
use crate::deliver::bulkhead::Permit;
use crate::deliver::last_look::LastLook;
use crate::deliver::lease::Lease;
use crate::deliver::pause;
use crate::deliver::terms::Terms;
use crate::deliver::thread::{NoAnswer, on_own_thread};
use crate::deliver::transition::{Cause, Transition};
use crate::observe::telemetry;
use crate::observe::trace_context;

/// The state that the calls of one round share.
pub(crate) struct Calls {
    pub(crate) deliverer: Arc<Deliverer>,
    pub(crate) channel: &'static str,
    pub(crate) lease: Arc<Lease>,
    pub(crate) look: LastLook,
    pub(crate) last_start: Instant,
    pub(crate) terms: Terms,
}

impl Calls {
    /// Sends one batch, and returns the transition of each of its deliveries.
    pub(crate) async fn send(&self, mut batch: Vec<Delivery>) -> Vec<Transition> {
        let Some((permit, ticket)) = self.enter(&batch).await else {
            return self.not_begun(&batch);
        };
        let look = self.look.look(&self.deliverer, self.channel, &mut batch);
        let mut transitions = look.await;
        if batch.is_empty() {
            return transitions;
        }
        if self.is_too_late(&batch) {
            transitions.extend(self.not_begun(&batch));
            return transitions;
        }
        transitions.extend(self.call(batch, permit, ticket).await);
        transitions
    }

    /// Waits until a call may start. `None`: it may not start in this round.
    async fn enter(&self, batch: &[Delivery]) -> Option<(Permit, Ticket)> {
        if self.is_too_late(batch) {
            return None;
        }
        let bulkhead = &self.deliverer.channels[self.channel].bulkhead;
        let entered = tokio::time::timeout_at(self.last_start.into(), bulkhead.enter()).await;
        // The permit may have taken some time.
        entered.ok().flatten().filter(|_| !self.is_too_late(batch))
    }

    fn is_too_late(&self, batch: &[Delivery]) -> bool {
        Instant::now() > self.last_start || !self.lease.covers(batch) || self.terms.stop.is_asked()
    }

    fn not_begun(&self, batch: &[Delivery]) -> Vec<Transition> {
        let policy = self.deliverer.policy(self.channel);
        Transition::of_all(batch, &Cause::NotBegun, policy)
    }

    /// One call of the channel, and the transitions that follow from it.
    async fn call(&self, batch: Vec<Delivery>, permit: Permit, ticket: Ticket) -> Vec<Transition> {
        let span = tracing::info_span!(
            target: "campanile",
            "attempt",
            channel = self.channel,
            deliveries = batch.len(),
        );
        trace_context::link(&span, &batch);
        let trace_id = trace_context::trace_id(&span);
        let channel = Arc::clone(&self.deliverer.channels[self.channel].channel);
        let timeout = self.deliverer.call_timeout(self.channel);
        let answer = answer(channel, batch.clone(), timeout, permit);
        let (verdicts, took) = answer.instrument(span).await;
        let verdicts = scrub_verdicts(verdicts, &batch);
        telemetry::call(self.channel, took);
        self.heed(ticket, &verdicts).await;
        let policy = self.deliverer.policy(self.channel);
        let pairs = batch.iter().zip(verdicts);
        let transitions = pairs.map(|(delivery, verdict)| {
            let trace_id = trace_id.clone();
            let cause = Cause::Verdict {
                verdict,
                took,
                trace_id,
            };
            Transition::of(delivery, &cause, policy)
        });
        transitions.collect()
    }

    /// The consequences for the channel itself.
    async fn heed(&self, ticket: Ticket, verdicts: &[Verdict]) {
        let answer = Answer::of(verdicts);
        if ticket.tell(answer) == Then::Pause {
            let is_wrong = |verdict: &&Verdict| matches!(verdict, Verdict::Misconfigured { .. });
            let error = verdicts.iter().find(is_wrong).and_then(Verdict::error);
            let reason = error.map(ToString::to_string).unwrap_or_default();
            pause::pause(&self.deliverer, self.channel, reason).await;
        }
        if let Some(probe) = &self.terms.probe {
            probe.note(answer);
            if answer == Answer::Well {
                pause::works_again(&self.deliverer, self.channel).await;
            }
        }
    }
}

/// One call of a channel: a panic, a hang or a wrong number of verdicts becomes a verdict.
///
/// It runs on its own thread, so that a channel that blocks the thread does not block anything else; such a call keeps its permit
/// until it really ends, so that a channel cannot take more threads than it may make calls. These threads do not keep the process
/// from exiting.
async fn answer(
    channel: Arc<dyn Channel>,
    batch: Vec<Delivery>,
    timeout: Duration,
    permit: Permit,
) -> (Vec<Verdict>, Duration) {
    let started = Instant::now();
    let deliveries = batch.len();
    let is_frozen = batch.iter().any(|delivery| delivery.batch_id.is_some());
    let call = async move { tokio::time::timeout(timeout, channel.deliver(&batch)).await };
    let thread = on_own_thread(permit, call.in_current_span());
    // A little longer than the call's own timeout: the call has ended by then, unless it blocks its thread.
    let max_wait = timeout + Duration::from_millis(100);
    let verdict = match tokio::time::timeout(max_wait, thread).await {
        Ok(Ok(Ok(verdicts))) if verdicts.len() == deliveries => {
            return (verdicts, started.elapsed());
        }
        Ok(Ok(Ok(verdicts))) => Verdict::unknown(DeliveryError::new(format!(
            "the channel returned {} verdicts for {deliveries} deliveries",
            verdicts.len(),
        ))),
        Ok(Err(NoAnswer::Panicked)) => {
            let error = DeliveryError::new("the channel panicked").with_class(ErrorClass::Panic);
            if is_frozen {
                // The provider may have accepted the batch: it has to be repeated unchanged.
                Verdict::unknown(error)
            } else {
                Verdict::retry(error)
            }
        }
        Ok(Err(NoAnswer::NoThread(error))) => Verdict::retry(
            DeliveryError::new(format!("cannot start a thread for the call: {error}"))
                .with_class(ErrorClass::Internal),
        ),
        Ok(Ok(Err(_))) | Err(_) => Verdict::unknown(
            DeliveryError::new(format!("the channel did not answer within {timeout:?}"))
                .with_class(ErrorClass::Timeout),
        ),
    };
    (vec![verdict; deliveries], started.elapsed())
}
