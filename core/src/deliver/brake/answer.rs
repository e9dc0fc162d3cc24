//! What a call says of its channel's provider: read from its verdicts.

use std::time::Duration;

use crate::channel::delivery::{ErrorClass, Verdict};

/// What a call said of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its provider answered, and took or judged something.
    Well,
    /// Its provider was not asked.
    NotAsked,
    /// Nothing is known of its provider.
    Nothing,
    /// Its provider asks for fewer calls, and maybe says when to come again.
    TooMany(Option<Duration>),
    /// Its provider is in trouble or cannot be reached, and maybe says when to come again.
    Trouble(Option<Duration>),
    /// It is misconfigured.
    Misconfigured,
}

impl Answer {
    /// What the verdicts of one call say together.
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
        // A failure without a class may be of one recipient, a full mailbox for example, and says nothing of the others.
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

    /// Of several answers the one that counts: what slows or stops, then what went well.
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
