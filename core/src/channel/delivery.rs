//! A **delivery** is a notification on one remote channel: the unit of retry.
//!
//! This file is what a channel sees of it. It knows nothing of rows, leases and retries.

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
    /// Whether an earlier attempt may have gone out: its answer was lost, or the process that made it. Where the provider
    /// recognizes [`idempotency_key`](Delivery::idempotency_key), trying again is safe all the same.
    pub maybe_sent: bool,
    /// The batch in which it goes out, if its channel takes batches and its provider recognizes keys.
    pub(crate) batch_id: Option<Uuid>,
    /// What of its past decides about its future.
    pub(crate) past: Past,
    /// Where to, from the address book: never empty. Push tokens may be several.
    pub addresses: Vec<String>,
    /// The rendered parts.
    pub parts: Arc<Parts>,
    /// The event's fields; those that are secret are null.
    pub payload: Arc<serde_json::Value>,
}

/// The texts of a payload's secret fields: none of them may be in what is kept.
pub(crate) type Hidden = Arc<[String]>;

/// What of a delivery's past decides about its future.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// The claim that it is under: what is recorded of it under another changes nothing.
    pub(crate) claim: Uuid,
    /// How many attempts do not count against it, because the channel was set up wrongly.
    pub(crate) uncounted: u32,
    /// How many of its attempts have lost their answer, or their worker.
    pub(crate) lost_answers: u32,
    /// How long ago nothing could be tried for the first time since its last attempt.
    pub(crate) outage: Duration,
    /// How often that was so.
    pub(crate) outage_rounds: u32,
    /// How long ago its first attempt that counts was begun.
    pub(crate) age: Duration,
    /// Whether it is no longer worth sending.
    pub(crate) is_expired: bool,
    /// Whether its notification has a row of a local channel, and so has reached its recipient anyway.
    pub(crate) has_local: bool,
    /// What may not be in anything that is kept of it.
    pub(crate) hidden: Hidden,
    /// The worker whose lease has just run out over it.
    pub(crate) lost_worker: Option<Uuid>,
    /// The trace of its dispatch, as a W3C `traceparent`.
    #[cfg_attr(
        not(feature = "opentelemetry"),
        allow(dead_code, reason = "it is linked where there are traces")
    )]
    pub(crate) trace_context: Option<String>,
}

impl Delivery {
    /// A delivery made by hand, to test a channel without a database: the first attempt, with ids of its own. Its public fields can
    /// be changed.
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

    /// How many attempts count against it, with the present one.
    pub(crate) fn counted(&self) -> u32 {
        self.attempt - self.past.uncounted.min(self.attempt)
    }

    /// Whether it is in no batch any more: then it is its own.
    pub(crate) fn is_alone(&self) -> bool {
        self.batch_id == Some(self.id)
    }

    /// The text of a part; empty if the event does not fill it.
    #[must_use]
    pub fn part(&self, name: &str) -> &str {
        self.parts.get(name).map_or("", String::as_str)
    }

    /// A text without what the secret fields of its event hold, for whatever a channel logs or stores by itself. What it says in a
    /// [`Verdict`] is stripped of that anyway.
    #[must_use]
    pub fn without_secrets(&self, text: &str) -> String {
        scrub(text, &self.past.hidden)
    }

    /// The key under which a provider recognizes a repeated attempt: `cmp_{delivery id}`.
    ///
    /// It is made of the delivery and not of the event, so that the next legitimate message is not swallowed.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("cmp_{}", self.id)
    }

    /// The key of the batch it goes out in, `cmp_batch_{batch id}`: the same for all deliveries of one call. A batch of which
    /// nobody knows whether it arrived comes again under the same key, with the same deliveries in the same order but for
    /// those that must not be sent any more. `None`: it goes out under its own key.
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

    /// The class of what went wrong: the channel's word, else what follows from the verdict and a status of 429.
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

    /// Whether the provider was not reached, or took no more calls, or something of the app's own did not work, its address
    /// book for example: then nothing was tried.
    pub(crate) fn tried_nothing(&self) -> bool {
        let class = self.error_class();
        matches!(self, Self::Retry { .. })
            && matches!(
                class,
                Some(ErrorClass::Connect | ErrorClass::RateLimited | ErrorClass::Internal)
            )
    }

    /// The same verdict with another error, where there is one.
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

/// The kind of a failure, as metrics and the delivery log name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// No connection, no name, no TLS: the request was not written. With [`Verdict::Retry`] nothing was tried: it uses no
    /// attempt, and the delivery waits for as long as its [policy](crate::channel::policy::Policy::outage) says.
    Connect,
    /// No answer in time.
    Timeout,
    /// The provider asked for fewer calls, or a quota is used up (429). With [`Verdict::Retry`] nothing was tried, as above.
    RateLimited,
    /// The provider is in trouble (5xx, 4xx in SMTP).
    Unavailable,
    /// The channel is set up wrongly (401, 403, a bad sender).
    Misconfigured,
    /// The provider refused this message for good.
    Rejected,
    /// The provider refused a batch as a whole. With [`Verdict::Retry`] its deliveries come again one by one.
    Refused,
    /// The provider knows the key with another content: an earlier attempt was taken. With [`Verdict::Permanent`] the
    /// delivery ends as unknown.
    Conflict,
    /// The receiving side says that there is no such address.
    Bounced,
    /// The answer cannot be understood.
    Protocol,
    /// The channel panicked.
    Panic,
    /// Something of the app's own did not work: its database, its address book.
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

    /// The class in one word.
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
    /// An error in words. They reach logs, the database and the report: no secret, no address, no payload.
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

    /// The class, if the channel gave one.
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
