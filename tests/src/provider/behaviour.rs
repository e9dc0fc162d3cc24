//! What the provider may do with a request.

use std::time::Duration;

/// A request, as a script sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ask {
    /// How many requests came before it.
    pub number: usize,
    /// Its idempotency key.
    pub key: String,
    /// How many mails it holds.
    pub mails: usize,
}

/// What the provider does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "matched by tests")]
pub enum Behaviour {
    /// It takes the mails and says so.
    Accept,
    /// The same, but the answer takes its time.
    AcceptAfter(Duration),
    /// It takes the mails and cuts the connection before the answer.
    AcceptThenCut,
    /// It takes the mails and keeps the answer until it is told to let go.
    AcceptThenHold,
    /// It refuses.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// It keeps the request until it is told to let go, and refuses it then with this status.
    HoldThenRefuse(u16),
    /// It never answers, and takes nothing.
    Hang,
    /// It takes the mails and sends its answer a byte at a time, endlessly slow.
    Drip,
    /// It takes the mails and sends an answer without an end.
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

    /// Whether the provider takes the mails, whatever it answers.
    pub(super) const fn takes(self) -> bool {
        !matches!(
            self,
            Self::Refuse { .. } | Self::HoldThenRefuse(_) | Self::Hang
        )
    }
}
