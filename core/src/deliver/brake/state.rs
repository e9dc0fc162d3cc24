//! The rule of a brake: when a call may start, and what follows from an answer. The caller passes the time; nothing here waits.

use std::time::{Duration, Instant};

use rand::RngExt as _;

use super::answer::Answer;

/// The first pause if the provider did not say how long; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The maximum of these pauses: a provider that has recovered is found within this time.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The maximum pause that a provider can ask for. The delivery itself waits as long as the provider says; the channel tries
/// another delivery.
const MAX_ASKED: Duration = Duration::from_mins(5);

/// The minimum pause: a provider that refuses a call does not mean "retry at once".
const MIN_ASKED: Duration = Duration::from_millis(100);

/// How many calls in a row must fail to count as an outage. A rate limit counts at once.
const TROUBLES: u32 = 3;

/// The time between two calls after the first pause. It is halved with every second without a failure.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// A shorter time between two calls counts as zero.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How many deliveries may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Nothing,
    /// One, as a trial.
    One,
    /// As many as this number of calls takes.
    Calls(usize),
    Everything,
}

/// Why a call does not start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// It may not start for longer than a round waits with a lease.
    TooLong,
    /// It has to wait until then.
    Until(Instant),
    /// It has to wait for the result of the trial.
    Trial,
}

/// The consequence of an answer outside of the brake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The channel is misconfigured, which has to be recorded.
    Pause,
}

/// The state of a brake.
#[derive(Debug)]
pub(super) struct State {
    /// How often the brake was applied: the answer of a call that started before the last time is ignored.
    pub(super) generation: u64,
    closed_until: Option<Instant>,
    /// How often the brake was applied without enough successful calls in between.
    pub(super) level: u32,
    troubles: u32,
    trial: Trial,
    pace: Option<Pace>,
    /// The time between two calls after the brake is released.
    interval: Duration,
    wrong: Wrong,
    /// Whether it is recorded that the channel is misconfigured.
    pub(super) is_noted: bool,
}

/// Whether one call at a time is made, as a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    No,
    Wanted,
    UnderWay,
}

/// Whether the channel is misconfigured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    No,
    /// No call starts.
    Paused,
    /// One call may find out whether the channel works again.
    Probing,
}

#[derive(Debug)]
struct Pace {
    interval: Duration,
    since: Instant,
    next: Instant,
}

impl Pace {
    /// The current time between two calls.
    fn interval(&self, now: Instant) -> Duration {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.interval.div_f64(seconds.min(60.0).exp2())
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            generation: 0,
            closed_until: None,
            level: 0,
            troubles: 0,
            trial: Trial::No,
            pace: None,
            interval: FIRST_INTERVAL,
            wrong: Wrong::No,
            is_noted: true,
        }
    }
}

impl State {
    /// Releases what is over.
    fn advance(&mut self, now: Instant) {
        if self.closed_until.is_some_and(|until| until <= now) {
            self.closed_until = None;
            self.trial = Trial::Wanted;
        }
        let is_free = |pace: &Pace| pace.interval(now) < MIN_INTERVAL;
        if self.pace.as_ref().is_some_and(is_free) {
            self.pace = None;
            self.interval = FIRST_INTERVAL;
        }
    }

    pub(super) fn begin(&mut self, now: Instant) -> Result<(u64, bool), Wait> {
        self.advance(now);
        if self.wrong == Wrong::Paused || self.closed_until.is_some() {
            return Err(Wait::TooLong);
        }
        match self.trial {
            Trial::UnderWay => return Err(Wait::Trial),
            Trial::Wanted => {
                self.trial = Trial::UnderWay;
                return Ok((self.generation, true));
            }
            Trial::No => {}
        }
        if let Some(pace) = &mut self.pace {
            if now < pace.next {
                return Err(Wait::Until(pace.next));
            }
            pace.next = now + pace.interval(now);
        }
        Ok((self.generation, false))
    }

    pub(super) fn room(&mut self, now: Instant) -> Room {
        self.advance(now);
        if self.wrong == Wrong::Paused || self.closed_until.is_some() {
            return Room::Nothing;
        }
        match (self.trial, &self.pace) {
            (Trial::UnderWay, _) => Room::Nothing,
            (Trial::Wanted, _) => Room::One,
            (Trial::No, None) => Room::Everything,
            (Trial::No, Some(pace)) => {
                let in_a_second = Duration::from_secs(1).div_duration_f64(pace.interval(now));
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a positive number of calls, and at most a hundred"
                )]
                Room::Calls((in_a_second as usize).max(1))
            }
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.wrong != Wrong::No
    }

    pub(super) fn probe(&mut self) {
        self.wrong = Wrong::Probing;
        self.trial = Trial::Wanted;
    }

    pub(super) fn end_probe(&mut self) {
        if self.wrong == Wrong::Probing {
            self.pause();
        }
    }

    pub(super) fn resume(&mut self) {
        if self.wrong != Wrong::No {
            self.generation += 1;
            (self.wrong, self.trial) = (Wrong::No, Trial::No);
        }
    }

    fn pause(&mut self) {
        self.generation += 1;
        self.wrong = Wrong::Paused;
        self.trial = Trial::No;
    }

    pub(super) fn told(
        &mut self,
        generation: u64,
        is_trial: bool,
        answer: Answer,
        now: Instant,
    ) -> Then {
        let is_new = generation == self.generation;
        let is_trial = is_trial && is_new;
        let was_wrong = is_trial && self.wrong == Wrong::Probing;
        let mut then = Then::Nothing;
        match answer {
            Answer::Misconfigured => {
                // Of several calls that fail together, only the first is recorded.
                let is_news = self.wrong != Wrong::Paused || self.is_noted;
                self.pause();
                if is_news {
                    self.is_noted = false;
                    then = Then::Pause;
                }
                return then;
            }
            Answer::Well => {
                self.troubles = 0;
                self.level = self.level.saturating_sub(u32::from(is_new));
                if was_wrong {
                    (self.wrong, self.trial) = (Wrong::No, Trial::No);
                } else if is_trial {
                    self.let_go(now);
                }
            }
            Answer::NotAsked if is_trial => self.trial = Trial::Wanted,
            Answer::Nothing if is_trial && !was_wrong => self.trial = Trial::Wanted,
            Answer::NotAsked | Answer::Nothing => {}
            Answer::TooMany(after) if is_new => self.put_on(after, now),
            Answer::TooMany(after) => self.extend(after, now),
            Answer::Trouble(after) => {
                self.troubles += 1;
                if is_new && (is_trial || after.is_some() || self.troubles >= TROUBLES) {
                    self.put_on(after, now);
                }
            }
        }
        // It is not known whether the channel works again: the next probe decides.
        if was_wrong && !matches!(answer, Answer::Well | Answer::NotAsked) {
            self.pause();
        }
        then
    }

    /// From now on, calls are made at a limited pace.
    fn let_go(&mut self, now: Instant) {
        self.trial = Trial::No;
        self.pace = Some(Pace {
            interval: self.interval,
            since: now,
            next: now + self.interval,
        });
    }

    /// No call starts for a while.
    fn put_on(&mut self, asked: Option<Duration>, now: Instant) {
        self.generation += 1;
        self.level = (self.level + 1).min(16);
        if let Some(pace) = self.pace.take() {
            // A third of the pace that was too fast.
            self.interval = (pace.interval(now) * 3).clamp(MIN_INTERVAL, MAX_INTERVAL);
        }
        self.trial = Trial::No;
        let own = (FIRST_PAUSE * (1 << (self.level - 1))).min(MAX_PAUSE);
        let own = rand::rng().random_range(own / 2..=own);
        let pause = match asked {
            // A provider that names a short time again and again does not recover in it.
            Some(asked) if self.level > 2 => allowed(asked).max(own),
            Some(asked) => allowed(asked),
            None => own,
        };
        self.closed_until = Some(now + pause);
    }

    /// A call that started before the brake was applied may report a longer pause.
    fn extend(&mut self, asked: Option<Duration>, now: Instant) {
        if let (Some(until), Some(asked)) = (self.closed_until, asked) {
            self.closed_until = Some(until.max(now + allowed(asked)));
        }
    }
}

fn allowed(asked: Duration) -> Duration {
    asked.clamp(MIN_ASKED, MAX_ASKED)
}
