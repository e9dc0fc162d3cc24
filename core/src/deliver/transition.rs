//! A **transition** of one delivery: its next state, when it is retried, and what the report and the log say.
//!
//! A [`Verdict`] is the answer of a channel; it is one [`Cause`] of a transition, and the other causes are campanile's own. This
//! file is pure except for the randomness of the jitter. The table of causes and transitions is [`Decision::fate`].

use std::time::Duration;

use rand::RngExt as _;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::channel::policy::Policy;
use crate::report::{Outcome, Retry};
use crate::store::settle::{BlockedAs, Settled, Transition as State};

/// The maximum pause in an outage, unless the provider asks for a longer one: a provider that has recovered is found within it.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_mins(5);

/// Why a delivery goes to another state.
#[derive(Debug, Clone)]
pub(crate) enum Cause {
    /// The verdict of its channel, or one in its place if the channel could not be called.
    Verdict {
        verdict: Verdict,
        took: Duration,
        /// The trace of the attempt, for the delivery log.
        trace_id: Option<String>,
    },
    /// The recipient has muted the channel since the dispatch.
    Muted,
    /// It has expired.
    Expired,
    /// Its attempts or its time are exhausted, without a recorded verdict.
    Exhausted,
    /// This binary does not know its event.
    UnknownEvent,
    /// There was no time to start.
    NotBegun,
}

impl Cause {
    /// A verdict without a call.
    pub(crate) const fn verdict(verdict: Verdict) -> Self {
        Self::Verdict {
            verdict,
            took: Duration::ZERO,
            trace_id: None,
        }
    }
}

/// The decision about one delivery.
#[derive(Debug)]
pub(crate) struct Transition {
    /// The record for the database.
    row: Settled,
    /// The entry in the report.
    outcome: Outcome,
    /// The log line, if an attempt failed.
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    event_type: String,
    error: DeliveryError,
}

impl Transition {
    pub(crate) fn of(delivery: &Delivery, cause: &Cause, policy: &Policy) -> Self {
        let decision = Decision { delivery, cause };
        let row = decision.row(policy);
        let failure = decision.error().map(|error| Failure {
            event_type: delivery.event_type.clone(),
            error: error.clone(),
        });
        Self {
            outcome: decision.outcome(row.state),
            row,
            failure,
        }
    }

    /// The same cause for all of them.
    pub(crate) fn of_all<'d>(
        deliveries: impl IntoIterator<Item = &'d Delivery>,
        cause: &Cause,
        policy: &Policy,
    ) -> Vec<Self> {
        let deliveries = deliveries.into_iter();
        deliveries
            .map(|delivery| Self::of(delivery, cause, policy))
            .collect()
    }

    /// The transition of a row that cannot be read. A worker of another version may be able to read it.
    pub(crate) const fn unreadable(row: Settled) -> Self {
        Self {
            row,
            outcome: Outcome::Queued,
            failure: None,
        }
    }

    /// The record, and the entry in the report.
    pub(crate) fn into_parts(self) -> (Settled, Outcome) {
        (self.row, self.outcome)
    }

    /// Logs a failure as one structured line, without address or payload.
    pub(crate) fn log(&self, channel: &'static str) {
        let Some(Failure { event_type, error }) = &self.failure else {
            return;
        };
        tracing::warn!(
            target: "campanile",
            event_type,
            channel,
            delivery_id = %self.row.id,
            attempt = self.row.attempt,
            outcome = self.row.outcome,
            error_class = self.row.error_class,
            status = error.status(),
            %error,
            "a delivery failed"
        );
    }
}

/// Removes the deliveries for which there is a cause. The others continue.
pub(crate) fn take_out(
    deliveries: &mut Vec<Delivery>,
    policy: &Policy,
    cause: impl Fn(&Delivery) -> Option<Cause>,
) -> Vec<Transition> {
    let mut transitions = Vec::new();
    deliveries.retain(|delivery| match cause(delivery) {
        Some(cause) => {
            transitions.push(Transition::of(delivery, &cause, policy));
            false
        }
        None => true,
    });
    transitions
}

/// A delivery, and why it goes to another state.
#[derive(Clone, Copy)]
struct Decision<'a> {
    delivery: &'a Delivery,
    cause: &'a Cause,
}

impl<'a> Decision<'a> {
    fn verdict(self) -> Option<&'a Verdict> {
        match self.cause {
            Cause::Verdict { verdict, .. } => Some(verdict),
            _ => None,
        }
    }

    fn error(self) -> Option<&'a DeliveryError> {
        self.verdict().and_then(Verdict::error)
    }

    fn error_class(self) -> Option<ErrorClass> {
        self.verdict().and_then(Verdict::error_class)
    }

    /// How long the call took.
    const fn took(self) -> Duration {
        match self.cause {
            Cause::Verdict { took, .. } => *took,
            _ => Duration::ZERO,
        }
    }

    /// The entry in the delivery log; `None` if there was no attempt.
    const fn outcome_in_log(self) -> Option<&'static str> {
        match self.cause {
            Cause::Verdict { verdict, .. } => Some(match verdict {
                Verdict::Accepted { .. } => "accepted",
                Verdict::Retry { .. } => "retry",
                Verdict::Unknown { .. } => "unknown",
                Verdict::Misconfigured { .. } => "misconfigured",
                Verdict::Permanent { .. } => "permanent",
                Verdict::SuppressedAddress => "suppressed",
                Verdict::Unreachable => "unreachable",
            }),
            Cause::Muted => Some("muted"),
            Cause::Expired => Some("expired"),
            Cause::Exhausted | Cause::UnknownEvent | Cause::NotBegun => None,
        }
    }

    /// The next state of the delivery, and the pause before it: the table of causes and transitions.
    ///
    /// If it may have been sent, every end except `Delivered` becomes `Unknown`. The exception: a provider that recognizes keys
    /// and rejects this one permanently proves that it was never sent (`Dead`), unless it knows the key with other content, which
    /// proves the opposite.
    fn fate(self, policy: &Policy) -> (State, Duration) {
        let maybe_sent = self.maybe_sent();
        let or_unknown = |state| if maybe_sent { State::Unknown } else { state };
        let ended = |state| (or_unknown(state), Duration::ZERO);
        let verdict = match self.cause {
            Cause::Verdict { verdict, .. } => verdict,
            Cause::Muted => return ended(State::Suppressed),
            Cause::Expired => return ended(State::Expired),
            Cause::Exhausted => return ended(State::Dead),
            Cause::UnknownEvent => return (State::Blocked(BlockedAs::Event), Duration::ZERO),
            Cause::NotBegun => return (State::Released, Duration::ZERO),
        };
        match verdict {
            Verdict::Accepted { .. } => (State::Delivered, Duration::ZERO),
            Verdict::Misconfigured { .. } => (State::Waiting, jitter(policy, 1)),
            Verdict::Permanent { .. } if self.is_conflict() => (State::Unknown, Duration::ZERO),
            Verdict::Permanent { .. } if policy.supports_keys() => (State::Dead, Duration::ZERO),
            Verdict::Permanent { .. } => ended(State::Dead),
            Verdict::SuppressedAddress => ended(State::Suppressed),
            Verdict::Unreachable => ended(State::Unreachable),
            Verdict::Unknown { .. } if policy.gives_up_after(self.lost_answers()) => {
                ended(State::Unknown)
            }
            Verdict::Retry { after, .. } if verdict.tried_nothing() => self.wait(policy, *after),
            Verdict::Retry { after, .. } => self.again(policy, *after, or_unknown(State::Dead)),
            Verdict::Unknown { .. } => self.again(policy, None, State::Unknown),
        }
    }

    /// Whether it may have been sent by now.
    fn maybe_sent(self) -> bool {
        self.delivery.maybe_sent || self.is_answer_lost() || self.is_conflict()
    }

    /// Whether the provider knows the key with other content: an earlier attempt was accepted.
    fn is_conflict(self) -> bool {
        self.is_permanent() && self.error_class() == Some(ErrorClass::Conflict)
    }

    fn is_permanent(self) -> bool {
        matches!(self.verdict(), Some(Verdict::Permanent { .. }))
    }

    fn is_answer_lost(self) -> bool {
        matches!(self.verdict(), Some(Verdict::Unknown { .. }))
    }

    /// How many of its attempts got no answer so far.
    fn lost_answers(self) -> u32 {
        let lost = u32::from(self.is_answer_lost());
        self.delivery.past.lost_answers.saturating_add(lost)
    }

    /// Back to pending, if there is an attempt left and it falls before the horizon.
    fn again(self, policy: &Policy, after: Option<Duration>, else_: State) -> (State, Duration) {
        let counted = self.delivery.counted();
        let pause = jitter(policy, counted)
            .max(after.unwrap_or_default())
            .min(policy.backoff_cap);
        let then = self.age().saturating_add(pause);
        if counted < policy.max_attempts && then < policy.horizon {
            (State::Pending, pause)
        } else {
            (else_, Duration::ZERO)
        }
    }

    /// How long it has been tried so far. If it may have been sent, its key ages during an outage too.
    fn age(self) -> Duration {
        let past = &self.delivery.past;
        let outage = if self.maybe_sent() {
            Duration::ZERO
        } else {
            past.outage
        };
        past.age.saturating_sub(outage).saturating_add(self.took())
    }

    /// Back to pending although it could not be tried, for as long as the policy lets it wait.
    fn wait(self, policy: &Policy, after: Option<Duration>) -> (State, Duration) {
        let max_pause = policy.longest_pause(self.delivery.past.outage_rounds.saturating_add(1));
        let max_pause = max_pause.min(MAX_OUTAGE_PAUSE);
        let pause = rand::rng().random_range(max_pause / 2..=max_pause);
        let pause = pause.max(after.unwrap_or_default()).min(policy.backoff_cap);
        if self.maybe_sent() {
            return if self.age().saturating_add(pause) < policy.horizon {
                (State::Untried, pause)
            } else {
                (State::Unknown, Duration::ZERO)
            };
        }
        if self.delivery.past.outage.saturating_add(self.took()) < policy.outage {
            (State::Untried, pause)
        } else {
            (State::Dead, Duration::ZERO)
        }
    }

    /// What is recorded.
    fn row(self, policy: &Policy) -> Settled {
        let (state, delay) = self.fate(policy);
        let provider_id = match self.verdict() {
            Some(Verdict::Accepted { provider_id }) => provider_id.as_deref(),
            _ => None,
        };
        let never_sent = policy.supports_keys() && self.is_permanent() && !self.is_conflict();
        let trace_id = match self.cause {
            Cause::Verdict { trace_id, .. } => trace_id.clone(),
            _ => None,
        };
        Settled {
            id: self.delivery.id,
            claim: self.delivery.past.claim,
            attempt: self.delivery.attempt,
            state,
            delay,
            maybe_sent: self.maybe_sent() && !never_sent,
            lost_answers: self.lost_answers(),
            alone: self.delivery.is_alone() || self.error_class() == Some(ErrorClass::Refused),
            has_local: self.delivery.past.has_local,
            outcome: self.outcome_in_log(),
            status: self.error().and_then(DeliveryError::status),
            // A provider's text may hold a NUL, which Postgres cannot store, and may be long.
            provider_id: provider_id.map(|id| id.replace('\0', " ").chars().take(200).collect()),
            error: self.error_in_log(state),
            error_class: self.error_class().map(ErrorClass::as_str),
            trace_id,
            took: self.took(),
        }
    }

    /// The error in the delivery log.
    fn error_in_log(self, state: State) -> Option<String> {
        match self.cause {
            Cause::UnknownEvent => Some("this worker does not know its event".to_owned()),
            Cause::Exhausted => Some("its attempts or its time are exhausted".to_owned()),
            Cause::Verdict { verdict, .. } if verdict.tried_nothing() && state.is_end() => {
                let waited = in_words(self.delivery.past.outage);
                let error = self.error().map(ToString::to_string).unwrap_or_default();
                Some(format!("nothing could be tried for {waited}: {error}"))
            }
            _ => self.error().map(ToString::to_string),
        }
    }

    /// The entry in the report, with the recorded state.
    fn outcome(self, recorded: State) -> Outcome {
        match (self.cause, self.verdict()) {
            (_, Some(Verdict::Accepted { .. })) => Outcome::Sent,
            (_, Some(Verdict::SuppressedAddress)) => Outcome::SuppressedAddress,
            (_, Some(Verdict::Unreachable)) => Outcome::Unreachable,
            (Cause::Muted, _) => Outcome::SuppressedByPrefs,
            (Cause::UnknownEvent | Cause::NotBegun, _) => Outcome::Queued,
            (Cause::Verdict { .. } | Cause::Expired | Cause::Exhausted, _) => Outcome::Failed {
                reason: match self.error() {
                    Some(error) => error.to_string(),
                    None => "it is no longer retried".to_owned(),
                },
                retry: if recorded.is_end() {
                    Retry::Never
                } else {
                    Retry::Scheduled
                },
            },
        }
    }
}

/// Why a delivery that was just claimed must not be tried, according to its history.
pub(crate) fn decided_by_past(delivery: &Delivery, policy: &Policy) -> Option<Cause> {
    let past = &delivery.past;
    if past.is_expired {
        Some(Cause::Expired)
    } else if delivery.counted() > policy.max_attempts
        || (delivery.maybe_sent && past.age > policy.horizon)
        || (delivery.maybe_sent && policy.gives_up_after(past.lost_answers))
    {
        Some(Cause::Exhausted)
    } else {
        None
    }
}

/// A duration of days or hours, as people say it.
fn in_words(time: Duration) -> String {
    match time.as_secs() / 3_600 {
        0 => "less than an hour".to_owned(),
        1 => "an hour".to_owned(),
        hours @ 2..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

/// Full jitter: anywhere between zero and the doubled pause, so that many retries spread out.
fn jitter(policy: &Policy, attempts: u32) -> Duration {
    rand::rng().random_range(Duration::ZERO..=policy.longest_pause(attempts))
}

#[cfg(test)]
mod tests {

    use super::*;

    const A_DAY: Duration = Duration::from_hours(24);

    fn delivery(attempt: u32) -> Delivery {
        Delivery {
            attempt,
            ..Delivery::new("a.b.c", "u")
        }
    }

    fn row(delivery: &Delivery, cause: &Cause, policy: &Policy) -> Settled {
        Transition::of(delivery, cause, policy).row
    }

    fn state(delivery: &Delivery, cause: &Cause, policy: &Policy) -> State {
        row(delivery, cause, policy).state
    }

    fn retry() -> Cause {
        Cause::verdict(Verdict::retry("busy"))
    }

    #[test]
    fn pauses_are_spread() {
        let policy = Policy::new();
        for attempt in 0..40 {
            let max_pause = policy.longest_pause(attempt);
            assert!((0..100).all(|_| jitter(&policy, attempt) <= max_pause));
        }
        let pauses: std::collections::HashSet<_> = (0..20).map(|_| jitter(&policy, 5)).collect();
        assert!(pauses.len() > 10);
    }

    #[test]
    fn a_pause_that_a_provider_asks_for_is_kept_up_to_the_cap() {
        let policy = Policy::new();
        let asked = |seconds| {
            Cause::verdict(Verdict::Retry {
                after: Some(Duration::from_secs(seconds)),
                error: "busy".into(),
            })
        };
        let pause = |cause| row(&delivery(1), &cause, &policy).delay;
        assert_eq!(pause(asked(600)), Duration::from_mins(10));
        assert_eq!(pause(asked(1_000_000)), policy.backoff_cap);
    }

    #[test]
    fn a_delivery_is_retried_until_its_attempts_or_its_time_are_exhausted() {
        let policy = Policy::new().max_attempts(3);
        assert_eq!(state(&delivery(2), &retry(), &policy), State::Pending);
        assert_eq!(state(&delivery(3), &retry(), &policy), State::Dead);
        let mut late = delivery(2);
        late.past.age = policy.horizon;
        assert_eq!(state(&late, &retry(), &policy), State::Dead);
        let mut uncounted = delivery(9);
        uncounted.past.uncounted = 8;
        assert_eq!(state(&uncounted, &retry(), &policy), State::Pending);
    }

    #[test]
    fn a_delivery_that_could_not_be_tried_waits_and_uses_neither_attempts_nor_the_horizon() {
        let policy = Policy::new().max_attempts(3);
        let connect = DeliveryError::new("refused").with_class(ErrorClass::Connect);
        let limited = DeliveryError::new("slow down").with_status(429);
        let book = DeliveryError::new("no answer").with_class(ErrorClass::Internal);
        for error in [connect, limited, book] {
            let untried = || Cause::verdict(Verdict::retry(error.clone()));
            let mut waiting = delivery(90);
            waiting.past.uncounted = 80;
            waiting.past.age = policy.horizon * 2;
            waiting.past.outage = policy.outage / 2;
            assert_eq!(state(&waiting, &untried(), &policy), State::Untried);
            // After the outage, the horizon continues where it was.
            waiting.past.uncounted = 89;
            waiting.past.age = waiting.past.outage + policy.horizon / 2;
            assert_eq!(state(&waiting, &retry(), &policy), State::Pending);
            waiting.past.age = waiting.past.outage + policy.horizon;
            assert_eq!(state(&waiting, &retry(), &policy), State::Dead);
            waiting.past.outage = policy.outage;
            let row = row(&waiting, &untried(), &policy);
            assert_eq!(row.state, State::Dead);
            let said = row.error.unwrap();
            assert!(
                said.starts_with("nothing could be tried for 4 days: "),
                "{said}"
            );
            // A key that may have been used ages.
            waiting.maybe_sent = true;
            waiting.past.age = policy.horizon;
            assert_eq!(state(&waiting, &untried(), &policy), State::Unknown);
        }
    }

    #[test]
    fn pauses_grow_during_an_outage_although_no_attempt_counts() {
        let policy = Policy::new();
        let error = DeliveryError::new("refused").with_class(ErrorClass::Connect);
        let mut last = Duration::ZERO;
        for rounds in [0, 2, 4, 20] {
            let mut delivery = delivery(1);
            delivery.past.outage_rounds = rounds;
            let cause = Cause::verdict(Verdict::retry(error.clone()));
            let pause = row(&delivery, &cause, &policy).delay;
            assert!(pause > last && pause <= MAX_OUTAGE_PAUSE, "{pause:?}");
            last = pause;
        }
    }

    #[test]
    fn a_key_that_the_provider_knows_with_other_content_may_have_been_sent() {
        let policy = Policy::new().key_lifetime(A_DAY);
        let conflict = DeliveryError::new("other content").with_class(ErrorClass::Conflict);
        for (error, state, maybe_sent) in [
            (conflict, State::Unknown, true),
            (DeliveryError::new("refused"), State::Dead, false),
        ] {
            let mut delivery = delivery(2);
            delivery.maybe_sent = true;
            let cause = Cause::verdict(Verdict::permanent(error));
            let row = row(&delivery, &cause, &policy);
            assert_eq!((row.state, row.maybe_sent), (state, maybe_sent));
        }
    }

    #[test]
    fn a_delivery_that_may_have_been_sent_ends_as_unknown_unless_the_provider_denies_it() {
        let plain = Policy::new();
        let keyed = Policy::new().key_lifetime(A_DAY);
        let maybe = || Delivery {
            maybe_sent: true,
            ..delivery(30)
        };
        let refused = || Cause::verdict(Verdict::permanent("no"));
        for cause in [
            retry(),
            refused(),
            Cause::Muted,
            Cause::Expired,
            Cause::Exhausted,
        ] {
            assert_eq!(state(&maybe(), &cause, &plain), State::Unknown);
        }
        assert_eq!(state(&maybe(), &refused(), &keyed), State::Dead);
        assert_eq!(state(&delivery(1), &refused(), &plain), State::Dead);
        // The same key with other content: the content that was sent first was accepted.
        let conflict = DeliveryError::new("another body").with_class(ErrorClass::Conflict);
        let conflict = Cause::verdict(Verdict::permanent(conflict));
        assert_eq!(state(&delivery(2), &conflict, &keyed), State::Unknown);
    }

    #[test]
    fn without_keys_a_delivery_ends_as_unknown_after_too_many_lost_answers() {
        let unknown = || Cause::verdict(Verdict::unknown("no answer"));
        let after = |lost| {
            let mut delivery = delivery(lost + 1);
            delivery.past.lost_answers = lost;
            delivery.maybe_sent = lost > 0;
            delivery
        };
        for max in 1..4 {
            let policy = Policy::new().max_lost_answers(max);
            let keyed = policy.key_lifetime(A_DAY);
            for lost in 0..max {
                let last = lost + 1 == max;
                let expected = if last { State::Unknown } else { State::Pending };
                assert_eq!(state(&after(lost), &unknown(), &policy), expected);
                assert_eq!(state(&after(lost), &unknown(), &keyed), State::Pending);
                assert!(decided_by_past(&after(lost), &policy).is_none());
            }
            // The lease of the last one expired.
            let used_up = decided_by_past(&after(max), &policy);
            assert!(matches!(used_up, Some(Cause::Exhausted)));
            assert!(decided_by_past(&after(max), &keyed).is_none());
        }
    }
}
