//! What a call shows about its channel's provider, derived from its verdicts.

use std::time::Duration;

use crate::channel::delivery::{ErrorClass, Verdict};

/// What a call shows about its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The provider answered, and accepted or rejected deliveries.
    Well,
    /// The provider was not called.
    NotAsked,
    /// Nothing is known about the provider.
    Nothing,
    /// The provider asks for fewer calls, and may say when to retry.
    TooMany(Option<Duration>),
    /// The provider has an outage or cannot be reached, and may say when to retry.
    Trouble(Option<Duration>),
    /// The channel is misconfigured.
    Misconfigured,
}

impl Answer {
    /// What the verdicts of one call show together.
    pub(crate) fn of(verdicts: &[Verdict]) -> Self {
        let each = verdicts.iter().map(Self::of_one);
        each.max_by_key(|answer| answer.weight())
            .unwrap_or(Self::NotAsked)
    }

    fn of_one(verdict: &Verdict) -> Self {
        let (after, error) = match verdict {
            Verdict::Accepted { .. } | Verdict::Permanent { .. } => return Self::Well,
            Verdict::SuppressedAddress | Verdict::Unreachable => return Self::NotAsked,
            Verdict::Misconfigured { .. } => return Self::Misconfigured,
            Verdict::Unknown { .. } => return Self::Nothing,
            Verdict::Retry { after, error } => (*after, error),
        };
        // A failure without a class may concern one recipient, a full mailbox for example, and says nothing about the others.
        let is_outage = matches!(
            error.class(),
            Some(ErrorClass::Unavailable | ErrorClass::Connect)
        ) || (error.class().is_none() && matches!(error.status(), Some(500..)));
        match verdict.error_class() {
            Some(ErrorClass::RateLimited) => Self::TooMany(after),
            _ if is_outage => Self::Trouble(after),
            _ => Self::Nothing,
        }
    }

    /// The answer that counts when there are several: one that slows or stops calls, then a success.
    fn weight(self) -> (u8, Duration) {
        match self {
            Self::NotAsked => (0, Duration::ZERO),
            Self::Nothing => (1, Duration::ZERO),
            Self::Trouble(after) => (2, after.unwrap_or_default()),
            Self::Well => (3, Duration::ZERO),
            Self::TooMany(after) => (4, after.unwrap_or_default()),
            Self::Misconfigured => (5, Duration::ZERO),
        }
    }
}
