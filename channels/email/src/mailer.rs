//! A **mailer** sends mails through one provider: the interface between the channel and the provider.
//!
//! It implements one provider's protocol and knows nothing about deliveries, preferences or the suppression list.

use std::sync::Arc;

use async_trait::async_trait;
use campanile::channel::Policy;
use campanile::channel::{DeliveryError, Verdict};

use crate::mail::Mail;

/// Sends mails: over SMTP, over a provider's API, or nowhere.
///
/// # What the channel guarantees
///
/// * Between one and [`max_batch`](Capabilities::max_batch) mails, none of them to a suppressed address, each with text that is
///   valid in a header.
/// * A mail may be retried with the same key and content and a higher [`attempt`](Mail::attempt). A batch that may have been sent
///   is retried as a whole with the same [`batch_key`](Mail::batch_key), if your [`policy`](Capabilities::policy) says that keys
///   are supported.
///
/// # What the mailer guarantees
///
/// * One [`Answer`] for each mail, in order, and within eight seconds, because the channel's attempt has ten; or within the time
///   that your [`policy`](Capabilities::policy) sets for an attempt ([`Policy::attempt_timeout`]), minus two seconds.
/// * You pass [`Mail::batch_key`], or if there is none [`Mail::idempotency_key`], to a provider that supports such keys.
/// * Errors contain no secret, no address and no content.
///
/// # Cancel safety
///
/// The future is dropped at the attempt's timeout; the mails are retried under the same keys.
///
/// # Examples
///
/// A mailer that counts, around another one:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use campanile_email::{Answer, Capabilities, Capture, EmailSettings, Mail, Mailer};
///
/// struct Counting<M>(M, Arc<AtomicUsize>);
///
/// #[campanile::async_trait]
/// impl<M: Mailer> Mailer for Counting<M> {
///     async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
///         self.1.fetch_add(mails.len(), Ordering::Relaxed);
///         self.0.send(mails).await
///     }
///
///     fn capabilities(&self) -> Capabilities {
///         self.0.capabilities()
///     }
/// }
///
/// let count = Arc::default();
/// let settings = EmailSettings::new("no-reply@example.com", Counting(Capture::in_memory(), count));
/// # let _ = settings;
/// ```
#[async_trait]
pub trait Mailer: Send + Sync + 'static {
    /// Tries each mail once and returns one answer for each, in order.
    async fn send(&self, mails: &[Mail]) -> Vec<Answer>;

    /// What the provider accepts and recognizes. There is no default: a mailer that wraps another one must pass on its
    /// capabilities.
    fn capabilities(&self) -> Capabilities;
}

/// What a mailer accepts in one call, and what its provider recognizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// How mails are retried, how many calls are made at once, and how long the provider recognizes
    /// [`Mail::idempotency_key`], if it does.
    pub policy: Policy,
    /// The maximum number of mails in one call.
    pub max_batch: usize,
}

impl Capabilities {
    /// One mail at a time, retried according to this policy.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            max_batch: 1,
        }
    }

    /// The same, with up to this many mails in one call.
    #[must_use]
    pub const fn with_max_batch(self, max_batch: usize) -> Self {
        Self { max_batch, ..self }
    }
}

/// One mail at a time, no keys, and pauses of 10 seconds to 2 hours for 20 hours.
impl Default for Capabilities {
    fn default() -> Self {
        Self::new(Policy::new())
    }
}

#[async_trait]
impl<M: Mailer + ?Sized> Mailer for Arc<M> {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        (**self).send(mails).await
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
}

/// The result of one mail.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// The verdict on the delivery.
    Judged(Verdict),
    /// A hard bounce: the receiving side says that there is no such address. The delivery fails permanently, and the address is
    /// put on the suppression list.
    ///
    /// Return it only if the refusal is about the address: a refusal of your sender, your network or your account is
    /// [`Verdict::Misconfigured`], a limit on how much you send is [`Verdict::Retry`] with
    /// [`ErrorClass::RateLimited`](campanile::channel::ErrorClass::RateLimited).
    Bounced(DeliveryError),
    /// The recipient was rejected without a reason. The delivery fails permanently, and the address is put on the suppression
    /// list if that happens again on another day without an accepted mail in between.
    Suspected(DeliveryError),
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self::Judged(verdict)
    }
}

impl Answer {
    /// The verdict on the delivery.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Judged(verdict) => verdict.clone(),
            Self::Bounced(error) | Self::Suspected(error) => Verdict::permanent(error.clone()),
        }
    }
}
