//! An **outage** makes a channel fail on purpose: a switch, and wrappers between a channel and its provider.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile::async_trait;
use campanile::channel::Verdict;
use campanile::channel::{EMAIL, PUSH};
use campanile_email::{Answer as MailAnswer, Capabilities, Mail, Mailer};
use campanile_push::{Answer as PushAnswer, Message, Provider};

/// Why an attempt failed, in the report and in the delivery log.
const REASON: &str = "the inspector makes this channel fail";

/// Whether one channel fails. Clones share the switch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outage(Arc<AtomicBool>);

impl Outage {
    pub(crate) fn set(&self, failing: bool) {
        self.0.store(failing, Ordering::SeqCst);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The switch of every channel that can be made to fail, by the channel's name.
#[derive(Debug, Clone)]
pub(crate) struct Outages(BTreeMap<&'static str, Outage>);

impl Default for Outages {
    fn default() -> Self {
        let channels = [EMAIL.name(), PUSH.name()];
        Self(channels.map(|channel| (channel, Outage::default())).into())
    }
}

impl Outages {
    pub(crate) fn of(&self, channel: &str) -> Option<&Outage> {
        self.0.get(channel)
    }

    /// The provider as it is, or failing while the channel's switch is on.
    pub(crate) fn around<P>(&self, channel: &str, provider: P) -> Unreliable<P> {
        Unreliable {
            provider,
            outage: self.of(channel).cloned().unwrap_or_default(),
        }
    }
}

/// A mailer or push provider that does not answer while its switch is on.
pub(crate) struct Unreliable<P> {
    provider: P,
    outage: Outage,
}

#[async_trait]
impl<M: Mailer> Mailer for Unreliable<M> {
    async fn send(&self, mails: &[Mail]) -> Vec<MailAnswer> {
        if self.outage.is_on() {
            return vec![Verdict::retry(REASON).into(); mails.len()];
        }
        self.provider.send(mails).await
    }

    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities()
    }
}

#[async_trait]
impl<P: Provider> Provider for Unreliable<P> {
    async fn push(&self, message: &Message) -> PushAnswer {
        if self.outage.is_on() {
            return PushAnswer::Failed(Verdict::retry(REASON));
        }
        self.provider.push(message).await
    }
}
