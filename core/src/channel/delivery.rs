//! A **delivery** is a notification on one remote channel: the unit of retry.
//!
//! This file is the part of it that a channel sees, without rows and leases.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::channel::scrub::scrub;

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
    /// The organization in which the event happened.
    pub org_id: Option<String>,
    /// The event's type.
    pub event_type: String,
    /// What the event is about.
    pub subject_id: Option<String>,
    /// The category that the user may mute.
    pub category: String,
    /// The first attempt is 1. It increases with every attempt in which the channel was called.
    pub attempt: u32,
    /// Whether an earlier attempt may have been sent, because its answer or its process was lost. Where the provider recognizes
    /// [`idempotency_key`](Delivery::idempotency_key), a retry is safe anyway.
    pub maybe_sent: bool,
    /// The batch in which it is sent, if its channel takes batches and its provider recognizes keys.
    pub(crate) batch_id: Option<Uuid>,
    /// The part of its history that decides what happens next.
    pub(crate) past: Past,
    /// The recipient's addresses from the address book; never empty. There may be several push tokens.
    pub addresses: Vec<String>,
    /// The rendered parts.
    pub parts: Arc<Parts>,
    /// The event's fields; those that are secret are null.
    pub payload: Arc<serde_json::Value>,
}

/// The texts of a payload's secret fields: nothing that is stored may contain them.
pub(crate) type Hidden = Arc<[String]>;

/// The part of a delivery's history that decides what happens next.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// Its claim. A result that is recorded under another claim changes nothing.
    pub(crate) claim: Uuid,
    /// How many attempts do not count, because the channel was misconfigured.
    pub(crate) uncounted: u32,
    /// How many attempts lost their answer or their worker.
    pub(crate) lost_answers: u32,
    /// How long ago the current outage was first detected, since its last attempt.
    pub(crate) outage: Duration,
    /// How often an outage was detected since.
    pub(crate) outage_rounds: u32,
    /// How long ago the first attempt that counts started.
    pub(crate) age: Duration,
    /// Whether it is no longer worth sending.
    pub(crate) is_expired: bool,
    /// Whether its notification has a row of a local channel, so that it reached its recipient anyway.
    pub(crate) has_local: bool,
    /// The secrets that must not be in anything that is stored about it.
    pub(crate) hidden: Hidden,
    /// The worker whose lease of it has just expired.
    pub(crate) lost_worker: Option<Uuid>,
    /// The trace of its dispatch, as a W3C `traceparent`.
    #[cfg_attr(
        not(feature = "opentelemetry"),
        allow(dead_code, reason = "only traces use it")
    )]
    pub(crate) trace_context: Option<String>,
}

impl Delivery {
    /// A delivery for tests of a channel, without a database: a first attempt with new ids. Its public fields can be changed.
    ///
    /// ```
    /// use campanile::channel::{Channel, Delivery, Verdict};
    ///
    /// struct Loft;
    ///
    /// #[campanile::async_trait]
    /// impl Channel for Loft {
    ///     async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
    ///         batch
    ///             .iter()
    ///             .map(|delivery| match delivery.part("scroll") {
    ///                 "" => Verdict::permanent("an empty scroll"),
    ///                 _ => Verdict::accepted(),
    ///             })
    ///             .collect()
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let full = Delivery::new("loft.scroll.sent", "u_ada").to("the tower").with_part("scroll", "Noon.");
    /// let empty = Delivery::new("loft.scroll.sent", "u_bob").to("the tower");
    /// let verdicts = Loft.deliver(&[full, empty]).await;
    /// assert!(matches!(verdicts[0], Verdict::Accepted { .. }));
    /// assert!(matches!(verdicts[1], Verdict::Permanent { .. }));
    /// # });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    #[must_use]
    pub fn new(event_type: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self {
            id: Uuid::now_v7(),
            notification_id: Uuid::now_v7(),
            dispatch_id: Uuid::now_v7(),
            user_id: user_id.into(),
            org_id: None,
            event_type: event_type.into(),
            subject_id: None,
            category: String::new(),
            attempt: 1,
            maybe_sent: false,
            batch_id: None,
            past: Past::default(),
            addresses: Vec::new(),
            parts: Arc::default(),
            payload: Arc::new(serde_json::json!({})),
        }
    }

    /// The same with one more address.
    #[must_use]
    pub fn to(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// The same with this text in a part.
    #[must_use]
    pub fn with_part(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.parts).insert(name.into(), text.into());
        self
    }

    /// How many attempts count, including the current one.
    pub(crate) fn counted(&self) -> u32 {
        self.attempt - self.past.uncounted.min(self.attempt)
    }

    /// Whether it was taken out of its batch and is sent alone.
    pub(crate) fn is_alone(&self) -> bool {
        self.batch_id == Some(self.id)
    }

    /// The text of a part; empty if the event does not fill it.
    #[must_use]
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// The text without the values of its event's secret fields, for a channel's own logs and tables. Verdicts are scrubbed
    /// anyway.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        scrub(text, &self.past.hidden)
    }

    /// The key under which a provider recognizes a repeated attempt: `cmp_{delivery id}`.
    ///
    /// It identifies the delivery and not the event, so that the next legitimate message is not suppressed.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("cmp_{}", self.id)
    }

    /// The key of the batch it is sent in, `cmp_batch_{batch id}`: the same for all deliveries of one call. A batch that may have
    /// arrived is retried under the same key with the same deliveries in the same order, except for those that must not be
    /// sent any more. `None`: it is sent under its own key.
    #[must_use]
    pub fn batch_key(&self) -> Option<String> {
        let batch = self.batch_id.filter(|_| !self.is_alone());
        batch.map(|id| format!("cmp_batch_{id}"))
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

/// What a channel reports about one attempt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Verdict {
    /// The provider accepted it.
    Accepted {
        /// The provider's own id, for the delivery log.
        provider_id: Option<String>,
    },
    /// It failed this time: busy, unreachable, 5xx, 429.
    Retry {
        /// When the provider asked for a retry.
        after: Option<Duration>,
        /// What happened.
        error: DeliveryError,
    },
    /// It will never succeed: refused content, a bounced address.
    Permanent {
        /// What happened.
        error: DeliveryError,
    },
    /// The channel itself is misconfigured: a bad key, an unverified sender. It is not the delivery's fault.
    Misconfigured {
        /// What happened.
        error: DeliveryError,
    },
    /// It is not known whether the provider accepted it: the answer was lost after the request was written.
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
    /// The provider accepted it and returned no id.
    #[must_use]
    pub const fn accepted() -> Self {
        Self::Accepted { provider_id: None }
    }

    /// It failed this time, and the provider did not say when to retry.
    #[must_use]
    pub fn retry(error: impl Into<DeliveryError>) -> Self {
        Self::Retry {
            after: None,
            error: error.into(),
        }
    }

    /// It will never succeed.
    #[must_use]
    pub fn permanent(error: impl Into<DeliveryError>) -> Self {
        Self::Permanent {
            error: error.into(),
        }
    }

    /// The channel is misconfigured.
    #[must_use]
    pub fn misconfigured(error: impl Into<DeliveryError>) -> Self {
        Self::Misconfigured {
            error: error.into(),
        }
    }

    /// It is not known whether the provider accepted it.
    #[must_use]
    pub fn unknown(error: impl Into<DeliveryError>) -> Self {
        Self::Unknown {
            error: error.into(),
        }
    }

    /// The class of the error: the channel's own, or else the one that follows from the verdict and a status of 429.
    #[must_use]
    pub fn error_class(&self) -> Option<ErrorClass> {
        let error = self.error()?;
        let by_verdict = match self {
            Self::Retry { .. } if error.status() == Some(429) => ErrorClass::RateLimited,
            Self::Retry { .. } => ErrorClass::Unavailable,
            Self::Misconfigured { .. } => ErrorClass::Misconfigured,
            Self::Unknown { .. } => ErrorClass::Timeout,
            _ => ErrorClass::Rejected,
        };
        Some(error.class().unwrap_or(by_verdict))
    }

    /// Whether the attempt did not take place: the provider was not reached or limited the rate, or the app's own address book or
    /// database failed.
    pub(crate) fn tried_nothing(&self) -> bool {
        let class = self.error_class();
        matches!(self, Self::Retry { .. })
            && matches!(
                class,
                Some(ErrorClass::Connect | ErrorClass::RateLimited | ErrorClass::Internal)
            )
    }

    /// The same verdict with another error, if it has one.
    pub(crate) fn map_error(self, map: impl FnOnce(DeliveryError) -> DeliveryError) -> Self {
        match self {
            Self::Retry { after, error } => Self::Retry {
                after,
                error: map(error),
            },
            Self::Permanent { error } => Self::Permanent { error: map(error) },
            Self::Misconfigured { error } => Self::Misconfigured { error: map(error) },
            Self::Unknown { error } => Self::Unknown { error: map(error) },
            other => other,
        }
    }

    /// The error, if there is one.
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

/// The kind of a failure, as metrics and the delivery log name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// No connection, name resolution or TLS: the request was not written. With [`Verdict::Retry`] it uses no attempt, and the
    /// delivery waits for as long as its [policy](crate::channel::policy::Policy::outage) says.
    Connect,
    /// No answer in time.
    Timeout,
    /// The provider limited the rate, or a quota is exhausted (429). With [`Verdict::Retry`] it uses no attempt, as above.
    RateLimited,
    /// The provider is unavailable (5xx, 4xx in SMTP).
    Unavailable,
    /// The channel is misconfigured (401, 403, a bad sender).
    Misconfigured,
    /// The provider rejected this message permanently.
    Rejected,
    /// The provider rejected a batch as a whole. With [`Verdict::Retry`] its deliveries are retried one by one.
    Refused,
    /// The provider knows the key with other content: an earlier attempt was accepted. With [`Verdict::Permanent`] the
    /// delivery ends as unknown.
    Conflict,
    /// The receiving side says that there is no such address.
    Bounced,
    /// The answer cannot be understood.
    Protocol,
    /// The channel panicked.
    Panic,
    /// A part of the app failed: its database, its address book.
    Internal,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: &'static [Self] = &[
        Self::Connect,
        Self::Timeout,
        Self::RateLimited,
        Self::Unavailable,
        Self::Misconfigured,
        Self::Rejected,
        Self::Refused,
        Self::Conflict,
        Self::Bounced,
        Self::Protocol,
        Self::Panic,
        Self::Internal,
    ];

    /// The class as one word, as metrics and the delivery log show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Bounced => "bounced",
            Self::Protocol => "protocol",
            Self::Panic => "panic",
            Self::Internal => "internal",
        }
    }
}

/// What went wrong in an attempt: a text without secrets, addresses or payload, its class, and the provider's status if it
/// gave one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    message: String,
    status: Option<u16>,
    class: Option<ErrorClass>,
}

impl DeliveryError {
    /// An error with this message. It is written to logs, the database and the report, so it must not contain a secret, address
    /// or payload.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        let message: String = message.into();
        Self {
            // Provider texts may hold a NUL, which Postgres cannot store, and may be long.
            message: message.replace('\0', " ").chars().take(500).collect(),
            status: None,
            class: None,
        }
    }

    /// The same with another text.
    pub(crate) fn map_message(mut self, map: impl FnOnce(&str) -> String) -> Self {
        self.message = map(&self.message);
        self
    }

    /// The same with its class. Without one the class follows from the verdict.
    #[must_use]
    pub const fn with_class(mut self, class: ErrorClass) -> Self {
        self.class = Some(class);
        self
    }

    /// The class, if the channel set one.
    #[must_use]
    pub const fn class(&self) -> Option<ErrorClass> {
        self.class
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
