//! A **delivery** is a notification on one remote channel: the unit of retry.
//!
//! This file is what a channel sees of it. It knows nothing of rows, leases and retries.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

/// The rendered parts of one notification on one channel: part name to text.
pub type Parts = BTreeMap<String, String>;

/// A rendered, frozen delivery, as a channel receives it.
///
/// Its `Debug` shows ids only: no address, no content.
#[derive(Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The delivery's own id; the same in every attempt.
    pub id: Uuid,
    /// The notification it belongs to.
    pub notification_id: Uuid,
    /// The dispatch it came from.
    pub dispatch_id: Uuid,
    /// The recipient.
    pub user_id: String,
    /// The organization it happened in.
    pub org_id: Option<String>,
    /// The event's type.
    pub event_type: String,
    /// What the event is about.
    pub subject_id: Option<String>,
    /// The category that the user may mute.
    pub category: String,
    /// The first attempt is 1. It rises with every attempt in which the channel was called.
    pub attempt: u32,
    /// How many attempts do not count against it, because the channel was set up wrongly.
    pub(crate) uncounted: u32,
    /// Where to, from the address book: never empty. Push tokens may be several.
    pub addresses: Vec<String>,
    /// The rendered parts.
    pub parts: Arc<Parts>,
    /// The event's fields.
    pub payload: Arc<serde_json::Value>,
}

impl Delivery {
    /// The text of a part; empty if the event does not fill it.
    #[must_use]
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// The key under which a provider recognizes a repeated attempt: `cmp_{delivery id}`.
    ///
    /// It is made of the delivery and not of the event, so that the next legitimate message is not swallowed.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("cmp_{}", self.id)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.id)
            .field("event_type", &self.event_type)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What a channel says of one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// The provider took it.
    Accepted {
        /// The provider's own id, for the delivery log.
        provider_id: Option<String>,
    },
    /// It did not work this time: busy, unreachable, 5xx, 429.
    Retry {
        /// When the provider asked to be tried again.
        after: Option<Duration>,
        /// What happened.
        error: DeliveryError,
    },
    /// It will never work: refused content, a bounced address.
    Permanent {
        /// What happened.
        error: DeliveryError,
    },
    /// The channel itself is set up wrongly: a bad key, a sender that is not verified. No fault of the delivery.
    Misconfigured {
        /// What happened.
        error: DeliveryError,
    },
    /// Nobody knows whether the provider took it: the answer was lost after the request was written.
    Unknown {
        /// What happened.
        error: DeliveryError,
    },
    /// The address is on the channel's suppression list.
    SuppressedAddress,
    /// None of the addresses can be reached by this channel.
    Unreachable,
}

impl Verdict {
    /// The provider took it and gave no id.
    #[must_use]
    pub const fn accepted() -> Self {
        Self::Accepted { provider_id: None }
    }

    /// It did not work this time, and the provider did not say when to come again.
    #[must_use]
    pub fn retry(error: impl Into<DeliveryError>) -> Self {
        Self::Retry {
            after: None,
            error: error.into(),
        }
    }

    /// It will never work.
    #[must_use]
    pub fn permanent(error: impl Into<DeliveryError>) -> Self {
        Self::Permanent {
            error: error.into(),
        }
    }

    /// The channel is set up wrongly.
    #[must_use]
    pub fn misconfigured(error: impl Into<DeliveryError>) -> Self {
        Self::Misconfigured {
            error: error.into(),
        }
    }

    /// Nobody knows whether the provider took it.
    #[must_use]
    pub fn unknown(error: impl Into<DeliveryError>) -> Self {
        Self::Unknown {
            error: error.into(),
        }
    }

    /// The error, where there is one.
    #[must_use]
    pub fn error(&self) -> Option<&DeliveryError> {
        match self {
            Self::Retry { error, .. }
            | Self::Permanent { error }
            | Self::Misconfigured { error }
            | Self::Unknown { error } => Some(error),
            Self::Accepted { .. } | Self::SuppressedAddress | Self::Unreachable => None,
        }
    }
}

/// What went wrong in an attempt: a text without secrets, addresses or payload, and the provider's status if it gave one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    message: String,
    status: Option<u16>,
}

impl DeliveryError {
    /// An error in words. They reach logs, the database and the report: no secret, no address, no payload.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            // Provider texts may hold a NUL, which Postgres cannot store, and may be long.
            message: message.replace('\0', " ").chars().take(500).collect(),
            status: None,
        }
    }

    /// The same with the provider's status, an HTTP or SMTP code.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The provider's status, an HTTP or SMTP code.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }
}

impl From<&str> for DeliveryError {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

impl From<String> for DeliveryError {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}
