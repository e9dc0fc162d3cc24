//! The **push** channel: a title and a body on every device of a user.
//!
//! Linking this crate registers the channel `push`: `use campanile_push as _;`. It is a stub with the full shape: several
//! tokens for each user, one answer for each token, removal of dead tokens, and a [`Provider`] trait whose only
//! implementation, [`Recorder`], records messages. A provider for APNs, FCM or Web Push implements the same
//! trait and is given in code: `Dispatcher::builder().with(PushSettings::new(provider))`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use campanile::async_trait;
use campanile::channel::AddressBook;
use campanile::channel::Policy;
use campanile::channel::{Channel, Transport};
use campanile::channel::{Delivery, DeliveryError, Verdict};
use campanile::channel::{Setup, SetupError};
use sha2::{Digest as _, Sha256};

pub use campanile::channel::PUSH;

campanile::register_channel!(PUSH, Transport::Remote(build));

/// How many messages a [`Recorder`] keeps.
const MAX_RECORDED: usize = 1_000;

/// One push message for one device.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The device's token, from the address book.
    pub token: String,
    /// The title.
    pub title: String,
    /// The body.
    pub body: String,
    /// Where a tap leads; empty if nowhere.
    pub action_url: String,
    /// What a provider collapses repeats by: `cmp_{delivery id}_{16 hex digits of the token's SHA-256}`. It is the same in
    /// every attempt, whatever happens to the user's other devices, and different for each device.
    pub idempotency_key: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("idempotency_key", &self.idempotency_key)
            .finish_non_exhaustive()
    }
}

/// A provider's answer to one message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Answer {
    /// It accepted the message.
    Accepted,
    /// It no longer knows the token (HTTP 404 or 410); the token is removed from the address book.
    TokenGone,
    /// It failed as the verdict describes; [`Verdict::Accepted`] is the same as [`Answer::Accepted`].
    Failed(Verdict),
}

/// A push service.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Sends one message to one device.
    async fn push(&self, message: &Message) -> Answer;
}

/// The provider of the stub: it records messages and sends nothing. Clones share the record.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    messages: Arc<Mutex<VecDeque<Message>>>,
}

impl Recorder {
    /// The last 1,000 messages it was asked to send, oldest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.iter().cloned().collect()
    }
}

#[async_trait]
impl Provider for Recorder {
    async fn push(&self, message: &Message) -> Answer {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == MAX_RECORDED {
            messages.pop_front();
        }
        messages.push_back(message.clone());
        Answer::Accepted
    }
}

/// The settings of the channel; without them it records and sends nothing.
#[derive(Clone)]
pub struct PushSettings {
    provider: Arc<dyn Provider>,
}

impl PushSettings {
    /// Sends over this provider.
    pub fn new(provider: impl Provider) -> Self {
        Self {
            provider: Arc::new(provider),
        }
    }
}

impl std::fmt::Debug for PushSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PushSettings(..)")
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the form of `Transport::Remote`")]
fn build(setup: &Setup<'_>) -> Result<Arc<dyn Channel>, SetupError> {
    let provider = match setup.settings::<PushSettings>() {
        Some(settings) => Arc::clone(&settings.provider),
        None => Arc::new(Recorder::default()),
    };
    Ok(Arc::new(Push {
        provider,
        address_book: setup.address_book(),
    }))
}

struct Push {
    provider: Arc<dyn Provider>,
    address_book: Arc<dyn AddressBook>,
}

#[async_trait]
impl Channel for Push {
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Verdict> {
        let mut verdicts = Vec::with_capacity(batch.len());
        for delivery in batch {
            verdicts.push(self.deliver_one(delivery).await);
        }
        verdicts
    }

    fn policy(&self) -> Policy {
        Policy::new()
            .backoff(Duration::from_secs(5), Duration::from_mins(10))
            .horizon(Duration::from_hours(1))
    }
}

impl Push {
    async fn deliver_one(&self, delivery: &Delivery) -> Verdict {
        let mut verdicts = Vec::with_capacity(delivery.addresses.len());
        for token in &delivery.addresses {
            verdicts.push(match self.provider.push(&message(delivery, token)).await {
                Answer::Accepted => Verdict::accepted(),
                Answer::Failed(verdict) => verdict,
                Answer::TokenGone => {
                    self.forget(delivery, token).await;
                    Verdict::Unreachable
                }
            });
        }
        of_all_devices(verdicts)
    }

    async fn forget(&self, delivery: &Delivery, token: &str) {
        let forgotten = self
            .address_book
            .forget(PUSH.name(), &delivery.user_id, token)
            .await;
        if let Err(error) = forgotten {
            let error = DeliveryError::new(error.to_string());
            tracing::warn!(
                target: "campanile",
                channel = PUSH.name(),
                delivery_id = %delivery.id,
                %error,
                "a dead token could not be removed from the address book"
            );
        }
    }
}

/// The verdict on a delivery, from the verdicts of its devices.
///
/// One device that accepted it is enough, because a retry would notify that device twice. Otherwise a retryable failure takes
/// precedence over a permanent one, because a device may still get it. Among equals the first device decides.
fn of_all_devices(verdicts: Vec<Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Accepted { .. } => 0,
        Verdict::Retry { .. } | Verdict::Unknown { .. } | Verdict::Misconfigured { .. } => 1,
        Verdict::Permanent { .. } => 2,
        _ => 3,
    };
    let best = verdicts.into_iter().min_by_key(rank);
    best.unwrap_or(Verdict::Unreachable)
}

fn message(delivery: &Delivery, token: &str) -> Message {
    let digest = Sha256::digest(token);
    let start = digest.first_chunk().expect("a digest of 32 bytes");
    let device = u64::from_be_bytes(*start);
    Message {
        token: token.to_owned(),
        title: delivery.part("title").to_owned(),
        body: delivery.part("body").to_owned(),
        action_url: delivery.part("action_url").to_owned(),
        idempotency_key: format!("{}_{device:016x}", delivery.idempotency_key()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_accepting_device_is_enough_and_a_retryable_failure_precedes_a_permanent_one() {
        let accepted = Verdict::accepted;
        let gone = || Verdict::Unreachable;
        let retry = || Verdict::retry("retry");
        let unknown = || Verdict::unknown("unknown");
        let misconfigured = || Verdict::misconfigured("misconfigured");
        let permanent = || Verdict::permanent("permanent");
        for (verdicts, expected) in [
            (vec![], gone()),
            (vec![gone(), gone()], gone()),
            (vec![permanent(), accepted()], accepted()),
            (vec![accepted(), retry(), gone()], accepted()),
            (vec![misconfigured(), unknown(), accepted()], accepted()),
            (vec![permanent(), retry()], retry()),
            (vec![retry(), permanent()], retry()),
            (vec![permanent(), unknown(), permanent()], unknown()),
            (vec![misconfigured(), permanent()], misconfigured()),
            (vec![gone(), retry()], retry()),
            (vec![gone(), permanent()], permanent()),
            (vec![permanent(), Verdict::SuppressedAddress], permanent()),
            (vec![unknown(), retry()], unknown()),
        ] {
            let shown = format!("{verdicts:?}");
            let verdict = of_all_devices(verdicts);
            assert_eq!(format!("{verdict:?}"), format!("{expected:?}"), "{shown}");
        }
    }
}
