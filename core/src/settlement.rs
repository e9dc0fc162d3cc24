//! What follows from a verdict: the state the delivery goes to, when it is tried again, what the report and the log say.
//!
//! Pure but for the dice of the jitter. The one table of what follows from what is [`Judged::settled`].

use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use crate::delivery::{Delivery, DeliveryError, Verdict};
use crate::report::{Outcome, Retry};
use crate::store::settle::{Settled, State};

/// After this many attempts a delivery is dead.
pub(crate) const MOST_ATTEMPTS: u32 = 12;

/// The first pause is up to this long, and doubles.
const BACKOFF_BASE: Duration = Duration::from_secs(10);

/// The longest pause.
const BACKOFF_CAP: Duration = Duration::from_hours(2);

/// A delivery, and what was said of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) delivery: Delivery,
    pub(crate) ruling: Ruling,
    pub(crate) took: Duration,
}

/// What was said of a delivery.
#[derive(Debug, Clone)]
pub(crate) enum Ruling {
    /// The channel's word.
    Verdict(Verdict),
    /// The recipient has muted the channel since the dispatch.
    Muted,
    /// There was no time to begin.
    NotBegun,
}

impl Judged {
    /// The same verdict for all of them.
    pub(crate) fn all(deliveries: Vec<Delivery>, verdict: &Verdict, took: Duration) -> Vec<Self> {
        Self::ruled(deliveries, &Ruling::Verdict(verdict.clone()), took)
    }

    pub(crate) fn not_begun(deliveries: Vec<Delivery>) -> Vec<Self> {
        Self::ruled(deliveries, &Ruling::NotBegun, Duration::ZERO)
    }

    fn ruled(deliveries: Vec<Delivery>, ruling: &Ruling, took: Duration) -> Vec<Self> {
        let judged = deliveries.into_iter().map(|delivery| Self {
            delivery,
            ruling: ruling.clone(),
            took,
        });
        judged.collect()
    }

    fn error(&self) -> Option<&DeliveryError> {
        match &self.ruling {
            Ruling::Verdict(verdict) => verdict.error(),
            Ruling::Muted | Ruling::NotBegun => None,
        }
    }

    /// What the channel says of itself, if it is set up wrongly.
    pub(crate) fn misconfigured(&self) -> Option<&DeliveryError> {
        match &self.ruling {
            Ruling::Verdict(Verdict::Misconfigured { error }) => Some(error),
            _ => None,
        }
    }

    /// What is recorded.
    pub(crate) fn settled(&self) -> Settled {
        let attempt = self.delivery.attempt;
        let counted = attempt - self.delivery.uncounted.min(attempt);
        let again = if counted < MOST_ATTEMPTS {
            State::Pending
        } else {
            State::Dead
        };
        let (state, outcome) = match &self.ruling {
            Ruling::Verdict(Verdict::Accepted { .. }) => (State::Delivered, Some("accepted")),
            Ruling::Verdict(Verdict::Retry { .. }) => (again, Some("retry")),
            Ruling::Verdict(Verdict::Unknown { .. }) if again == State::Dead => {
                (State::Unknown, Some("unknown"))
            }
            Ruling::Verdict(Verdict::Unknown { .. }) => (again, Some("unknown")),
            Ruling::Verdict(Verdict::Misconfigured { .. }) => {
                (State::Waiting, Some("misconfigured"))
            }
            Ruling::Verdict(Verdict::Permanent { .. }) => (State::Dead, Some("permanent")),
            Ruling::Verdict(Verdict::SuppressedAddress) => (State::Suppressed, Some("suppressed")),
            Ruling::Verdict(Verdict::Unreachable) => (State::Unreachable, Some("unreachable")),
            Ruling::Muted => (State::Suppressed, Some("muted")),
            Ruling::NotBegun => (State::Released, None),
        };
        let delay = match &self.ruling {
            Ruling::Verdict(Verdict::Retry {
                after: Some(after), ..
            }) => (*after).max(backoff(counted)).min(BACKOFF_CAP),
            Ruling::NotBegun => Duration::ZERO,
            Ruling::Verdict(Verdict::Misconfigured { .. }) => backoff(1),
            _ => backoff(counted),
        };
        let provider_id = match &self.ruling {
            Ruling::Verdict(Verdict::Accepted { provider_id }) => provider_id.as_deref(),
            _ => None,
        };
        Settled {
            id: self.delivery.id,
            attempt,
            state,
            delay,
            outcome,
            status: self.error().and_then(DeliveryError::status),
            // A provider's text may hold a NUL, which Postgres cannot store, and may be long.
            provider_id: provider_id.map(|id| id.replace('\0', " ").chars().take(200).collect()),
            error: self.error().map(ToString::to_string),
            took: self.took,
        }
    }

    /// What the report says.
    pub(crate) fn outcome(&self) -> (Uuid, Outcome) {
        let outcome = match &self.ruling {
            Ruling::Verdict(Verdict::Accepted { .. }) => Outcome::Sent,
            Ruling::Verdict(Verdict::SuppressedAddress) => Outcome::SuppressedAddress,
            Ruling::Verdict(Verdict::Unreachable) => Outcome::Unreachable,
            Ruling::Verdict(
                Verdict::Retry { error, .. }
                | Verdict::Permanent { error }
                | Verdict::Misconfigured { error }
                | Verdict::Unknown { error },
            ) => Outcome::Failed {
                reason: error.to_string(),
                retry: if matches!(self.settled().state, State::Dead | State::Unknown) {
                    Retry::Never
                } else {
                    Retry::Scheduled
                },
            },
            Ruling::Muted => Outcome::SuppressedByPrefs,
            Ruling::NotBegun => Outcome::Queued,
        };
        (self.delivery.id, outcome)
    }

    /// A failure is one structured line, without address or payload.
    pub(crate) fn log(&self, channel: &'static str) {
        let Some(error) = self.error() else {
            return;
        };
        tracing::warn!(
            target: "campanile",
            event_type = self.delivery.event_type,
            channel,
            delivery_id = %self.delivery.id,
            attempt = self.delivery.attempt,
            outcome = self.settled().outcome,
            status = error.status(),
            %error,
            "a delivery failed"
        );
    }
}

/// Full jitter: anywhere between nothing and the doubled pause, so that a crowd spreads out.
fn backoff(attempt: u32) -> Duration {
    rand::rng().random_range(Duration::ZERO..=longest_pause(attempt))
}

fn longest_pause(attempt: u32) -> Duration {
    BACKOFF_BASE
        .saturating_mul(1 << attempt.saturating_sub(1).min(20))
        .min(BACKOFF_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread() {
        assert_eq!(longest_pause(1), Duration::from_secs(10));
        assert_eq!(longest_pause(4), Duration::from_secs(80));
        assert_eq!(longest_pause(40), Duration::from_hours(2));
        for attempt in 0..40 {
            assert!((0..100).all(|_| backoff(attempt) <= longest_pause(attempt)));
        }
        let pauses: std::collections::HashSet<_> = (0..20).map(|_| backoff(5)).collect();
        assert!(pauses.len() > 10);
    }
}
