//! The **ledger**: every request to the provider, in order, and its answer.

use std::collections::HashMap;
use std::time::Instant;

/// One mail as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// Its subject.
    pub subject: String,
}

impl Mail {
    /// A mail to this address, with this subject.
    pub fn new(to: impl Into<String>, subject: impl Into<String>) -> Self {
        let (to, subject) = (to.into(), subject.into());
        Self { to, subject }
    }
}

/// How the provider answered a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "matched by tests")]
pub enum Answered {
    /// It accepted the mails and said so.
    Accepted,
    /// It accepted the mails, and its answer was cut off, held or endless.
    AcceptedUnheard,
    /// It had accepted the mails under this key before, and repeated the answer.
    Repeated,
    /// It refused with this status.
    Refused(u16),
    /// It accepted nothing and never answered.
    Nothing,
}

impl Answered {
    /// Whether mails were accepted that had not been accepted under this key before.
    #[must_use]
    pub const fn is_acceptance(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedUnheard)
    }
}

/// One request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Its idempotency key.
    pub key: String,
    /// The SHA-256 of its body.
    pub body: [u8; 32],
    /// When it was received.
    pub at: Instant,
    /// The mails in it.
    pub mails: Vec<Mail>,
    /// How the provider answered.
    pub answered: Answered,
}

/// Every request, in order.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// The requests.
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// How many requests were answered like this.
    #[must_use]
    pub fn answered(&self, how: Answered) -> usize {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.answered == how).count()
    }

    /// How often each mail was accepted: under a key of its own, and in a batch.
    #[must_use]
    pub fn taken(&self) -> HashMap<&Mail, Taken> {
        let mut taken: HashMap<&Mail, Taken> = HashMap::new();
        let accepted = |entry: &&Entry| entry.answered.is_acceptance();
        for entry in self.entries.iter().filter(accepted) {
            for mail in &entry.mails {
                let count = taken.entry(mail).or_default();
                *if entry.mails.len() == 1 {
                    &mut count.alone
                } else {
                    &mut count.in_batch
                } += 1;
            }
        }
        taken
    }

    /// How many mails were accepted, each counted once.
    #[must_use]
    pub fn mails(&self) -> usize {
        self.taken().len()
    }

    /// The earlier request under this key, if its mails were accepted.
    pub(super) fn known(&self, key: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.key == key && entry.answered.is_acceptance())
    }
}

/// How often one mail was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Taken {
    /// Under a key of its own.
    pub alone: usize,
    /// In a batch, under the batch's key.
    pub in_batch: usize,
}
