//! The **ledger**: every request the provider got, in order, and what it made of it.

use std::collections::HashMap;
use std::time::Instant;

/// One mail as the provider sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Mail {
    /// Who it is to.
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

/// What the provider made of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "matched by tests")]
pub enum Answered {
    /// It took the mails and said so.
    Accepted,
    /// It took the mails and its answer was cut off, kept back or endless.
    AcceptedUnheard,
    /// It had taken the mails under this key before, and said so again.
    Repeated,
    /// It took nothing, and said so with this status.
    Refused(u16),
    /// It took nothing and never answered.
    Nothing,
}

impl Answered {
    /// Whether mails were taken that had not been taken under this key.
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
    /// When it came.
    pub at: Instant,
    /// What it holds.
    pub mails: Vec<Mail>,
    /// What the provider made of it.
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
    /// How many requests were answered so.
    #[must_use]
    pub fn answered(&self, how: Answered) -> usize {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.answered == how).count()
    }

    /// How often each mail was taken: under a key of its own, and as one of a batch.
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

    /// How many mails were taken, each counted once.
    #[must_use]
    pub fn mails(&self) -> usize {
        self.taken().len()
    }

    /// What the provider did with this key and body before, if it took them.
    pub(super) fn known(&self, key: &str) -> Option<&Entry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.key == key && entry.answered.is_acceptance())
    }
}

/// How often one mail was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Taken {
    /// Under a key of its own.
    pub alone: usize,
    /// As one of a batch, under the batch's key.
    pub in_batch: usize,
}
