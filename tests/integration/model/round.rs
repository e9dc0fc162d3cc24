//! A worker's **round**: what it claims, its calls of the channel, and what it records, in time or too late.

use super::command::BRISK;
use super::delivery::{Delivery, LEASE, State, Word};
use super::event::{Channel, REMOTE};
use super::reference::{Model, Name};

/// How long a misconfigured channel waits before it is probed, in seconds.
const PROBE_EVERY: i64 = 60;

/// Whether a share is a probe of a paused channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Yes,
    No,
}

/// The deliveries that a worker claimed from one channel and has to conclude.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) channel: Channel,
    worker: usize,
    probe: Probe,
    tries: Vec<Try>,
}

/// An attempt, as its worker sees it.
#[derive(Debug)]
pub(super) struct Try {
    name: Name,
    delivery: Delivery,
    /// The outcome that was known before the channel was called.
    known: Option<Word>,
}

impl Share {
    pub(super) fn new(channel: Channel, worker: usize, probe: Probe, tries: Vec<Try>) -> Self {
        Self {
            channel,
            worker,
            probe,
            tries,
        }
    }

    /// How many calls of the channel hang in it.
    pub(super) fn calls(&self) -> usize {
        // Each is sent alone; `batches.rs` tests batches.
        self.tries
            .iter()
            .filter(|attempt| attempt.known.is_none())
            .count()
    }
}

impl Model {
    /// One round of a worker over every channel: how many it claimed, and how many it sent.
    pub(super) fn deliver(&mut self, at_most: usize, worker: usize) -> (usize, usize) {
        if worker != BRISK {
            self.held.entry(worker).or_default().push_back(Vec::new());
        }
        let (mut claimed, mut sent) = (0, 0);
        for channel in REMOTE {
            let (at_most, probe) = match self.pauses.get_mut(&channel) {
                None => (at_most, Probe::No),
                Some(Some(at)) if *at <= self.now => {
                    *at = self.now + PROBE_EVERY;
                    (1, Probe::Yes)
                }
                Some(_) => continue,
            };
            let due = self.due(channel, at_most);
            if due.is_empty() {
                continue;
            }
            claimed += due.len();
            sent += self.attempt(channel, &due, worker, probe);
        }
        (claimed, sent)
    }

    /// The due deliveries of a channel: lost ones first, then waiting ones, each in turn.
    fn due(&self, channel: Channel, at_most: usize) -> Vec<Name> {
        let of = |state: State| {
            let all = self.deliveries.iter().filter(move |(name, delivery)| {
                name.2 == channel && delivery.state == state && delivery.turn.0 <= self.now
            });
            let mut names: Vec<_> = all.map(|(name, delivery)| (delivery.turn, *name)).collect();
            names.sort_unstable();
            names.into_iter().map(|(_, name)| name)
        };
        of(State::Running)
            .chain(of(State::Pending))
            .take(at_most)
            .collect()
    }

    fn attempt(&mut self, channel: Channel, due: &[Name], worker: usize, probe: Probe) -> usize {
        let mut tries = Vec::new();
        for name in due {
            let (turn, now) = (self.turn(self.now + LEASE), self.now);
            let Some(delivery) = self.deliveries.get_mut(name) else {
                continue;
            };
            delivery.claim(worker, now, turn);
            let (event, is_used_up) = (delivery.event, delivery.is_used_up());
            let ended = if is_used_up {
                Some(Word::UsedUp)
            } else {
                let is_muted = self.is_muted(name.1, event, channel);
                is_muted.then_some(Word::Muted)
            };
            match (ended, self.deliveries.get_mut(name)) {
                (Some(word), Some(delivery)) => delivery.settle(word, turn),
                _ => tries.push(self.try_of(*name)),
            }
        }
        let share = Share::new(channel, worker, probe, tries);
        if worker != BRISK && share.calls() > 0 {
            let rounds = self.held.entry(worker).or_default();
            rounds.back_mut().expect("its round began").push(share);
            return 0;
        }
        let outcomes = self.conclude(&share).into_iter();
        outcomes.filter(|(_, outcome)| *outcome == "sent").count()
    }

    /// The attempt that was just claimed.
    pub(super) fn try_of(&self, name: Name) -> Try {
        Try {
            name,
            delivery: self.deliveries[&name].clone(),
            known: self.known_before(name),
        }
    }

    /// The channel answers and the worker records it, as far as it still holds its claims. Returns the outcomes from the worker's
    /// point of view.
    pub(super) fn conclude(&mut self, share: &Share) -> Vec<(Name, &'static str)> {
        self.speak_of_one(share);
        let says = self.says.get(&share.channel).copied();
        let mut outcomes = Vec::new();
        for attempt in &share.tries {
            let word = attempt.known.or(says).unwrap_or(Word::Accepted);
            if word == Word::Accepted {
                *self.accepted.entry(attempt.name).or_default() += 1;
            }
            let turn = self.turn(self.now + super::delivery::PAUSE);
            let mut settled = attempt.delivery.clone();
            settled.settle(word, turn);
            outcomes.push((attempt.name, word.in_report(settled.state)));
            if let Some(present) = self.deliveries.get_mut(&attempt.name) {
                let is_held = present.state == State::Running
                    && present.attempts == attempt.delivery.attempts
                    && present.worker == share.worker;
                if is_held {
                    *present = Delivery {
                        log: std::mem::take(&mut present.log),
                        ..settled
                    };
                }
                present.note(attempt.delivery.attempts, word);
            }
            if word == Word::Misconfigured {
                let probe_at = Some(self.now + PROBE_EVERY);
                // An operator's pause stays the operator's.
                let pause = self.pauses.entry(share.channel).or_insert(probe_at);
                *pause = pause.and(probe_at);
            }
        }
        if share.probe == Probe::Yes {
            let words = share.tries.iter().map(|attempt| attempt.known.or(says));
            self.judge_probe(
                share.channel,
                words.map(|word| word.unwrap_or(Word::Accepted)),
            );
        }
        outcomes
    }

    /// Which of several calls start before the first one reports the channel as misconfigured is random: with several calls, the
    /// provider answers differently from now on. Hanging calls have all started.
    fn speak_of_one(&mut self, share: &Share) {
        let says = self.says.get_mut(&share.channel);
        if let Some(word @ Word::Misconfigured) = says
            && share.worker == BRISK
            && share.calls() > 1
        {
            *word = Word::Unknown;
        }
    }

    /// A channel that accepted the probe, or rejected it permanently, works again; one that was not called is probed again at
    /// once.
    fn judge_probe(&mut self, channel: Channel, words: impl Iterator<Item = Word>) {
        let mut asked = false;
        for word in words {
            match word {
                Word::Accepted | Word::Permanent => {
                    if let Some(Some(_)) = self.pauses.get(&channel) {
                        self.pauses.remove(&channel);
                    }
                    return;
                }
                Word::Suppressed | Word::Unreachable => {}
                _ => asked = true,
            }
        }
        if let (false, Some(Some(at))) = (asked, self.pauses.get_mut(&channel)) {
            *at = self.now;
        }
    }
}
