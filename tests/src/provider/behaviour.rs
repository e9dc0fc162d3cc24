//! The behaviour of the provider.

use std::time::Duration;

/// A request, as a script sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ask {
    /// How many requests were received before it.
    pub number: usize,
    /// Its idempotency key.
    pub key: String,
    /// How many mails it contains.
    pub mails: usize,
}

/// What the provider does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "matched by tests")]
pub enum Behaviour {
    /// It accepts the mails and says so.
    Accept,
    /// The same, but the answer is delayed.
    AcceptAfter(Duration),
    /// It accepts the mails and closes the connection before the answer.
    AcceptThenCut,
    /// It accepts the mails and holds the answer until it is released.
    AcceptThenHold,
    /// It refuses.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// It holds the request until it is released, and then refuses it with this status.
    HoldThenRefuse(u16),
    /// It never answers, and accepts nothing.
    Hang,
    /// It accepts the mails and sends its answer slowly, a byte at a time, without end.
    Drip,
    /// It accepts the mails and sends an endless answer.
    Endless,
}

impl Behaviour {
    /// A refusal without `Retry-After`.
    #[must_use]
    pub const fn refuse(status: u16) -> Self {
        Self::Refuse {
            status,
            retry_after: None,
        }
    }

    /// Whether the provider accepts the mails, whatever it answers.
    pub(super) const fn takes(self) -> bool {
        !matches!(
            self,
            Self::Refuse { .. } | Self::HoldThenRefuse(_) | Self::Hang
        )
    }
}
