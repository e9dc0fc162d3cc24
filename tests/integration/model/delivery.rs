//! A **delivery** in the model: its states, and the transitions that follow from the outcomes of attempts.

use std::collections::BTreeMap;

use super::event::{Channel, Event};

/// How many attempts a delivery gets.
pub(super) const MAX_ATTEMPTS: u32 = 3;

/// How long a delivery is tried, in seconds.
pub(super) const HORIZON: i64 = 3_600;

/// The maximum pause between two attempts, in seconds.
pub(super) const PAUSE: i64 = 10;

/// The lease of a worker that hangs, in seconds.
pub(super) const LEASE: i64 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Running,
    Delivered,
    Suppressed,
    Unreachable,
    Cancelled,
    Dead,
    Unknown,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Unreachable => "unreachable",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more happens without an operator.
    pub(super) const fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    pub(super) const fn reached_nobody(self) -> bool {
        matches!(
            self,
            Self::Suppressed | Self::Unreachable | Self::Cancelled | Self::Dead
        )
    }

    /// Whether the system failed, rather than the person being unreachable.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::Cancelled | Self::Dead)
    }
}

/// The outcome of an attempt: the first six come from a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Accepted,
    Retry,
    Permanent,
    Unknown,
    Misconfigured,
    Panic,
    Suppressed,
    Unreachable,
    Muted,
    /// Its attempts or its time are exhausted, before the channel was called.
    UsedUp,
}

impl Word {
    /// The entry in the log.
    pub(super) const fn in_log(self) -> Option<&'static str> {
        match self {
            Self::Accepted => Some("accepted"),
            Self::Retry | Self::Panic => Some("retry"),
            Self::Permanent => Some("permanent"),
            Self::Unknown => Some("unknown"),
            Self::Misconfigured => Some("misconfigured"),
            Self::Suppressed => Some("suppressed"),
            Self::Unreachable => Some("unreachable"),
            Self::Muted => Some("muted"),
            Self::UsedUp => None,
        }
    }

    /// The entry in the report.
    pub(super) const fn in_report(self, then: State) -> &'static str {
        match self {
            Self::Accepted => "sent",
            Self::Suppressed => "suppressedAddress",
            Self::Unreachable => "unreachable",
            Self::Muted => "suppressedByPrefs",
            _ if then.is_end() => "failed never",
            _ => "failed scheduled",
        }
    }
}

/// Its position in a queue: the second, and a unique number.
pub(super) type Turn = (i64, u32);

#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) event: Event,
    pub(super) channel: Channel,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) uncounted: u32,
    pub(super) maybe_sent: bool,
    /// How many attempts lost their answer, or their worker.
    pub(super) lost_answers: u32,
    /// When the first attempt that counts was started.
    pub(super) first_at: Option<i64>,
    pub(super) claimed_at: i64,
    /// When it is due, if it is pending; when its lease ends, if it is running.
    pub(super) turn: Turn,
    pub(super) worker: usize,
    pub(super) log: BTreeMap<u32, &'static str>,
}

impl Delivery {
    pub(super) fn new(event: Event, channel: Channel, turn: Turn) -> Self {
        Self {
            event,
            channel,
            state: State::Pending,
            attempts: 0,
            uncounted: 0,
            maybe_sent: false,
            lost_answers: 0,
            first_at: None,
            claimed_at: 0,
            turn,
            worker: 0,
            log: BTreeMap::new(),
        }
    }

    /// A worker claims it: from the queue, or from a lost worker.
    pub(super) fn claim(&mut self, worker: usize, now: i64, turn: Turn) {
        if self.state == State::Running {
            self.maybe_sent = true;
            self.lost_answers += 1;
            self.log.insert(self.attempts, "lost");
        }
        self.state = State::Running;
        self.attempts += 1;
        self.first_at = self.first_at.or(Some(now));
        self.claimed_at = now;
        self.worker = worker;
        self.turn = turn;
    }

    /// Whether it must not be tried any more, now that it was claimed.
    pub(super) fn is_used_up(&self) -> bool {
        self.attempts - self.uncounted > MAX_ATTEMPTS
            || (self.maybe_sent && self.age() > HORIZON)
            || (self.maybe_sent && self.gives_up())
    }

    /// The transition; `turn` is when it is retried, if it is.
    pub(super) fn settle(&mut self, word: Word, turn: Turn) {
        self.maybe_sent |= word == Word::Unknown;
        self.lost_answers += u32::from(word == Word::Unknown);
        // A delivery that may have been sent is not reported as unsent.
        let or_unknown = |state| {
            if self.maybe_sent {
                State::Unknown
            } else {
                state
            }
        };
        let again = self.attempts - self.uncounted < MAX_ATTEMPTS && self.age() + PAUSE < HORIZON;
        let state = match word {
            Word::Accepted => State::Delivered,
            Word::Misconfigured => State::Pending,
            Word::Unknown if self.gives_up() => State::Unknown,
            Word::Retry | Word::Panic | Word::Unknown if again => State::Pending,
            // Its provider recognizes the key, and would have reported it as known.
            Word::Permanent if self.supports_keys() => State::Dead,
            Word::Unknown => State::Unknown,
            Word::Retry | Word::Panic | Word::Permanent | Word::UsedUp => or_unknown(State::Dead),
            Word::Suppressed | Word::Muted => or_unknown(State::Suppressed),
            Word::Unreachable => or_unknown(State::Unreachable),
        };
        self.state = state;
        if word == Word::Permanent && self.supports_keys() {
            self.maybe_sent = false;
        }
        match word.in_log() {
            Some(said) => drop(self.log.insert(self.attempts, said)),
            None => self.attempts -= 1,
        }
        self.uncounted += u32::from(word == Word::Misconfigured);
        if self.attempts <= self.uncounted {
            self.first_at = None;
        }
        if state == State::Pending {
            self.turn = turn;
        }
    }

    /// The late verdict on an attempt that was lost meanwhile: it is logged, and changes nothing.
    pub(super) fn note(&mut self, attempt: u32, word: Word) {
        let said = self.log.get(&attempt);
        if let (None | Some(&"lost"), Some(word)) = (said, word.in_log()) {
            self.log.insert(attempt, word);
        }
    }

    /// An operator gives it a fresh set of attempts.
    pub(super) fn retry(&mut self, turn: Turn) {
        // A waiting one may have been sent under a key that its provider still knows.
        if self.state != State::Pending {
            self.first_at = None;
            self.lost_answers = 0;
        }
        self.state = State::Pending;
        self.uncounted = self.attempts;
        self.turn = turn;
    }

    fn age(&self) -> i64 {
        self.claimed_at - self.first_at.unwrap_or(self.claimed_at)
    }

    /// The mail provider of this test recognizes keys.
    fn supports_keys(&self) -> bool {
        self.channel == Channel::Email
    }

    /// At most one push, and at most two pigeons.
    fn gives_up(&self) -> bool {
        match self.channel {
            Channel::Push => self.lost_answers >= 1,
            Channel::Pigeon => self.lost_answers >= 2,
            _ => false,
        }
    }
}
