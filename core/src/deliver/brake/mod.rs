//! A **brake** slows one channel in this process: after a rate limit or an outage no call begins for a while, then one at a
//! time, then as fast as it goes well; and a channel that is misconfigured here makes no call but its probes.
//!
//! It knows what calls said, and this process's own clock, because it paces and schedules nothing. It knows no row.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::sync::Notify;

use crate::channel::delivery::{ErrorClass, Verdict};

/// The first pause of a provider that did not say how long; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest of them: a provider that is back is found within this time.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that a provider can ask for. Its delivery waits as long as it says; the channel tries another one.
const MAX_ASKED: Duration = Duration::from_mins(5);

/// The shortest: nobody means "at once" by refusing.
const MIN_ASKED: Duration = Duration::from_millis(100);

/// How many calls in a row must fail before an outage is believed. A rate limit is believed at once.
const TROUBLES: u32 = 3;

/// The time between two calls after the first pause. It is halved with every second that goes well.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);

/// A shorter time between two calls is none.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// What a call said of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its provider answered, and took or judged something.
    Well,
    /// Its provider was not asked.
    NotAsked,
    /// Nothing is known of its provider.
    Nothing,
    /// Its provider asks for fewer calls, and maybe says when to come again.
    TooMany(Option<Duration>),
    /// Its provider is in trouble or cannot be reached, and maybe says when to come again.
    Trouble(Option<Duration>),
    /// It is misconfigured.
    Misconfigured,
}

impl Answer {
    /// What the verdicts of one call say together.
    pub(crate) fn of(verdicts: &[Verdict]) -> Self {
        let each = verdicts.iter().map(Self::of_one);
        each.max_by_key(|answer| answer.weight())
            .unwrap_or(Self::NotAsked)
    }

    fn of_one(verdict: &Verdict) -> Self {
        let (after, error) = match verdict {
            Verdict::Accepted { .. } | Verdict::Permanent { .. } => return Self::Well,
            Verdict::SuppressedAddress | Verdict::Unreachable => return Self::NotAsked,
            Verdict::Misconfigured { .. } => return Self::Misconfigured,
            Verdict::Unknown { .. } => return Self::Nothing,
            Verdict::Retry { after, error } => (*after, error),
        };
        // A failure without a class may be of one recipient, a full mailbox for example, and says nothing of the others.
        let is_outage = matches!(
            error.class(),
            Some(ErrorClass::Unavailable | ErrorClass::Connect)
        ) || (error.class().is_none() && matches!(error.status(), Some(500..)));
        match verdict.error_class() {
            Some(ErrorClass::RateLimited) => Self::TooMany(after),
            _ if is_outage => Self::Trouble(after),
            _ => Self::Nothing,
        }
    }

    /// Of several answers the one that counts: what slows or stops, then what went well.
    fn weight(self) -> (u8, Duration) {
        match self {
            Self::NotAsked => (0, Duration::ZERO),
            Self::Nothing => (1, Duration::ZERO),
            Self::Trouble(after) => (2, after.unwrap_or_default()),
            Self::Well => (3, Duration::ZERO),
            Self::TooMany(after) => (4, after.unwrap_or_default()),
            Self::Misconfigured => (5, Duration::ZERO),
        }
    }
}

/// How many deliveries may be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Nothing,
    /// One, to see how it goes.
    One,
    /// What so many calls take.
    Calls(usize),
    Everything,
}

/// Why a call does not begin now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// For longer than anybody waits with a lease.
    Held,
    /// Until then.
    Until(Instant),
    /// For what another call says.
    Probe,
}

/// What follows from an answer, beyond the brake itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The channel is misconfigured, which is to be written down.
    Pause,
}

/// One channel's brake.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// How often it was put on: a call that began before the last time says nothing new.
    turn: u64,
    held_until: Option<Instant>,
    /// How often it was put on without enough that went well in between.
    level: u32,
    troubles: u32,
    probe: Probe,
    pace: Option<Pace>,
    /// The time between two calls when it is let go.
    interval: Duration,
    wrong: Wrong,
    /// Whether it is written down that it is misconfigured.
    is_noted: bool,
}

/// Whether one call at a time is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    No,
    Wanted,
    UnderWay,
}

/// Whether the channel is misconfigured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    No,
    /// No call begins.
    Paused,
    /// One call may show whether it works again.
    Probing,
}

#[derive(Debug)]
struct Pace {
    interval: Duration,
    since: Instant,
    next: Instant,
}

impl Pace {
    /// The time between two calls, by now.
    fn interval(&self, now: Instant) -> Duration {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.interval.div_f64(seconds.min(60.0).exp2())
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            turn: 0,
            held_until: None,
            level: 0,
            troubles: 0,
            probe: Probe::No,
            pace: None,
            interval: FIRST_INTERVAL,
            wrong: Wrong::No,
            is_noted: true,
        }
    }
}

/// Leave to begin one call. Dropped without an answer, it says nothing.
#[derive(Debug)]
pub(crate) struct Ticket {
    brake: Arc<Brake>,
    turn: u64,
    is_probe: bool,
    is_told: bool,
}

impl Ticket {
    /// Says what the call said.
    pub(crate) fn tell(mut self, answer: Answer) -> Then {
        self.is_told = true;
        self.brake.told(&self, answer, Instant::now())
    }

    /// Whether the brake was put on since.
    pub(crate) fn is_void(&self) -> bool {
        self.brake.state().turn != self.turn
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_told {
            self.brake.told(self, Answer::NotAsked, Instant::now());
        }
    }
}

impl Brake {
    /// Waits for leave to begin a call; `None` if that takes longer than a lease should be held for it.
    pub(crate) async fn leave(self: &Arc<Self>) -> Option<Ticket> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.begin(Instant::now()) {
                Ok(ticket) => return Some(ticket),
                Err(Wait::Held) => return None,
                Err(Wait::Until(at)) => tokio::time::sleep_until(at.into()).await,
                Err(Wait::Probe) => changed.await,
            }
        }
    }

    /// How much it is worth to claim now.
    pub(crate) fn room(&self) -> Room {
        self.state().room(Instant::now())
    }

    /// Whether the channel is misconfigured in this process, so that no call begins.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().wrong != Wrong::No
    }

    /// Lets one call at a time show whether the channel works again.
    pub(crate) fn probe(&self) {
        let mut state = self.state();
        state.wrong = Wrong::Probing;
        state.probe = Probe::Wanted;
    }

    /// The pause is written down, so that others see it.
    pub(crate) fn noted(&self) {
        self.state().is_noted = true;
    }

    /// Whether the pause is written down.
    pub(crate) fn is_noted(&self) -> bool {
        self.state().is_noted
    }

    /// Ends a probe that has not shown that the channel works.
    pub(crate) fn end_probe(&self) {
        let mut state = self.state();
        if state.wrong == Wrong::Probing {
            state.pause();
        }
    }

    /// Somebody else found that the channel works again, or an operator says so.
    pub(crate) fn resume(&self) {
        let mut state = self.state();
        if state.wrong != Wrong::No {
            state.turn += 1;
            (state.wrong, state.probe) = (Wrong::No, Probe::No);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn begin(self: &Arc<Self>, now: Instant) -> Result<Ticket, Wait> {
        let (turn, is_probe) = self.state().begin(now)?;
        Ok(Ticket {
            brake: Arc::clone(self),
            turn,
            is_probe,
            is_told: false,
        })
    }

    fn told(&self, ticket: &Ticket, answer: Answer, now: Instant) -> Then {
        let then = self.state().told(ticket.turn, ticket.is_probe, answer, now);
        self.changed.notify_waiters();
        then
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Lets go of what is over.
    fn advance(&mut self, now: Instant) {
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
            self.probe = Probe::Wanted;
        }
        let is_free = |pace: &Pace| pace.interval(now) < MIN_INTERVAL;
        if self.pace.as_ref().is_some_and(is_free) {
            self.pace = None;
            self.interval = FIRST_INTERVAL;
        }
    }

    fn begin(&mut self, now: Instant) -> Result<(u64, bool), Wait> {
        self.advance(now);
        if self.wrong == Wrong::Paused || self.held_until.is_some() {
            return Err(Wait::Held);
        }
        match self.probe {
            Probe::UnderWay => return Err(Wait::Probe),
            Probe::Wanted => {
                self.probe = Probe::UnderWay;
                return Ok((self.turn, true));
            }
            Probe::No => {}
        }
        if let Some(pace) = &mut self.pace {
            if now < pace.next {
                return Err(Wait::Until(pace.next));
            }
            pace.next = now + pace.interval(now);
        }
        Ok((self.turn, false))
    }

    fn room(&mut self, now: Instant) -> Room {
        self.advance(now);
        if self.wrong == Wrong::Paused || self.held_until.is_some() {
            return Room::Nothing;
        }
        match (self.probe, &self.pace) {
            (Probe::UnderWay, _) => Room::Nothing,
            (Probe::Wanted, _) => Room::One,
            (Probe::No, None) => Room::Everything,
            (Probe::No, Some(pace)) => {
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

    fn pause(&mut self) {
        self.turn += 1;
        self.wrong = Wrong::Paused;
        self.probe = Probe::No;
    }

    fn told(&mut self, turn: u64, is_probe: bool, answer: Answer, now: Instant) -> Then {
        let is_new = turn == self.turn;
        let is_probe = is_probe && is_new;
        let was_wrong = is_probe && self.wrong == Wrong::Probing;
        let mut then = Then::Nothing;
        match answer {
            Answer::Misconfigured => {
                // Of calls that fail together the first is written down.
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
                    (self.wrong, self.probe) = (Wrong::No, Probe::No);
                } else if is_probe {
                    self.let_go(now);
                }
            }
            Answer::NotAsked if is_probe => self.probe = Probe::Wanted,
            Answer::Nothing if is_probe && !was_wrong => self.probe = Probe::Wanted,
            Answer::NotAsked | Answer::Nothing => {}
            Answer::TooMany(after) if is_new => self.put_on(after, now),
            Answer::TooMany(after) => self.extend(after, now),
            Answer::Trouble(after) => {
                self.troubles += 1;
                if is_new && (is_probe || after.is_some() || self.troubles >= TROUBLES) {
                    self.put_on(after, now);
                }
            }
        }
        // It may work again or not: the next probe will tell.
        if was_wrong && !matches!(answer, Answer::Well | Answer::NotAsked) {
            self.pause();
        }
        then
    }

    /// From now on calls are made at a pace.
    fn let_go(&mut self, now: Instant) {
        self.probe = Probe::No;
        self.pace = Some(Pace {
            interval: self.interval,
            since: now,
            next: now + self.interval,
        });
    }

    /// No call begins for a while.
    fn put_on(&mut self, asked: Option<Duration>, now: Instant) {
        self.turn += 1;
        self.level = (self.level + 1).min(16);
        if let Some(pace) = self.pace.take() {
            // A third of the pace at which it was too much.
            self.interval = (pace.interval(now) * 3).clamp(MIN_INTERVAL, MAX_INTERVAL);
        }
        self.probe = Probe::No;
        let own = (FIRST_PAUSE * (1 << (self.level - 1))).min(MAX_PAUSE);
        let own = rand::rng().random_range(own / 2..=own);
        let pause = match asked {
            // Who says a short time again and again does not mean it.
            Some(asked) if self.level > 2 => allowed(asked).max(own),
            Some(asked) => allowed(asked),
            None => own,
        };
        self.held_until = Some(now + pause);
    }

    /// A call that began before the brake was put on knows of a longer pause.
    fn extend(&mut self, asked: Option<Duration>, now: Instant) {
        if let (Some(until), Some(asked)) = (self.held_until, asked) {
            self.held_until = Some(until.max(now + allowed(asked)));
        }
    }
}

fn allowed(asked: Duration) -> Duration {
    asked.clamp(MIN_ASKED, MAX_ASKED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::delivery::DeliveryError;

    const MILLI: Duration = Duration::from_millis(1);

    /// Makes calls one after the other, as soon as they may begin, for so long; a call takes ten milliseconds and is answered by
    /// `provider`, which gets the time since the beginning. Gives when the calls began.
    fn calls(
        state: &mut State,
        from: Instant,
        time: Duration,
        mut provider: impl FnMut(Duration) -> Answer,
    ) -> Vec<Duration> {
        let (mut now, mut begun) = (from, Vec::new());
        while now < from + time {
            if let Ok((turn, is_probe)) = state.begin(now) {
                begun.push(now - from);
                let answer = provider(now - from);
                now += 10 * MILLI;
                state.told(turn, is_probe, answer, now);
            } else {
                now += 5 * MILLI;
            }
        }
        begun
    }

    /// Takes so many calls in each second.
    fn limited(each_second: u32, after: Option<Duration>) -> impl FnMut(Duration) -> Answer {
        let mut window = (Duration::ZERO, 0);
        move |at| {
            if at >= window.0 + Duration::from_secs(1) {
                window = (at, 0);
            }
            window.1 += 1;
            if window.1 <= each_second {
                Answer::Well
            } else {
                Answer::TooMany(after)
            }
        }
    }

    #[test]
    fn a_provider_gets_at_most_twice_the_calls_it_takes() {
        for each_second in [2, 3, 10, 50] {
            for after in [None, Some(Duration::from_secs(1)), Some(Duration::ZERO)] {
                let (mut taken, mut state) = (0, State::default());
                let mut provider = limited(each_second, after);
                let minute = Duration::from_mins(1);
                let begun = calls(&mut state, Instant::now(), minute, |at| {
                    let answer = provider(at);
                    taken += usize::from(answer == Answer::Well);
                    answer
                });
                let said = format!(
                    "{} calls, {taken} taken of {each_second} a second",
                    begun.len()
                );
                assert!(begun.len() <= 2 * taken, "{said}, {after:?}");
                // Slowed, and not stopped.
                assert!(taken >= 15 * each_second as usize, "{said}, {after:?}");
            }
        }
    }

    #[test]
    fn calls_are_as_many_as_ever_within_seconds_of_the_end_of_a_limit() {
        let (mut state, from) = (State::default(), Instant::now());
        calls(&mut state, from, Duration::from_secs(20), limited(2, None));
        let from = from + Duration::from_secs(20);
        let begun = calls(&mut state, from, Duration::from_secs(20), |_| Answer::Well);
        let late = begun.iter().filter(|at| **at >= Duration::from_secs(19));
        assert!(late.count() >= 99, "one call after the other");
        assert_eq!(state.room(from + Duration::from_secs(20)), Room::Everything);
    }

    #[test]
    fn a_provider_that_is_down_is_asked_seldom_and_found_within_half_a_minute() {
        for answer in [Answer::Trouble(None), Answer::TooMany(None)] {
            let (mut state, from) = (State::default(), Instant::now());
            let hour = Duration::from_hours(1);
            let begun = calls(&mut state, from, hour, |_| answer);
            assert!(begun.len() < 300, "{}", begun.len());
            let pauses = begun.windows(2).map(|two| two[1].abs_diff(two[0]));
            assert!(pauses.max().unwrap() <= MAX_PAUSE + Duration::from_secs(1));
        }
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_and_nonsense_is_not_believed() {
        for (asked, least, most) in [
            (0, 0, 1),
            (60, 60, 61),
            (3_600, 300, 301),
            (u64::MAX, 300, 301),
        ] {
            let (mut state, from) = (State::default(), Instant::now());
            let asked = Answer::TooMany(Some(Duration::from_secs(asked)));
            let begun = calls(&mut state, from, Duration::from_mins(10), |_| asked);
            let pause = begun[1].abs_diff(begun[0]);
            assert!(pause >= Duration::from_secs(least), "{pause:?}");
            assert!(pause <= Duration::from_secs(most), "{pause:?}");
        }
    }

    #[test]
    fn of_calls_that_are_refused_together_one_puts_it_on_and_the_longest_pause_counts() {
        let (mut state, now) = (State::default(), Instant::now());
        let begun: Vec<_> = (0..8).map(|_| state.begin(now).unwrap()).collect();
        for (n, (turn, is_probe)) in begun.into_iter().enumerate() {
            let after = Some(Duration::from_secs(if n == 5 { 60 } else { 1 }));
            state.told(turn, is_probe, Answer::TooMany(after), now);
        }
        assert_eq!(state.level, 1);
        assert!(state.begin(now + Duration::from_secs(59)).is_err());
        let then = now + Duration::from_mins(1);
        assert!(state.begin(then).is_ok());
        // One at a time, until it is known how it goes.
        assert_eq!(state.begin(then).unwrap_err(), Wait::Probe);
        assert_eq!(state.room(then), Room::Nothing);
    }

    #[test]
    fn one_failure_of_many_is_no_outage() {
        let (mut state, from) = (State::default(), Instant::now());
        let mut n = 0;
        let second = Duration::from_secs(1);
        let begun = calls(&mut state, from, second, |_| {
            n += 1;
            if n % 3 == 0 {
                Answer::Well
            } else {
                Answer::Trouble(None)
            }
        });
        assert_eq!(begun.len(), 100);
    }

    #[test]
    fn what_a_call_says_is_read_from_its_verdicts() {
        let error = |status| DeliveryError::new("x").with_status(status);
        let class = |class| DeliveryError::new("x").with_class(class);
        let second = Some(Duration::from_secs(1));
        let after = |error| Verdict::Retry {
            after: second,
            error,
        };
        for (verdict, answer) in [
            (Verdict::accepted(), Answer::Well),
            (Verdict::permanent("no"), Answer::Well),
            (Verdict::Unreachable, Answer::NotAsked),
            (Verdict::SuppressedAddress, Answer::NotAsked),
            (Verdict::unknown("no answer"), Answer::Nothing),
            (Verdict::misconfigured("401"), Answer::Misconfigured),
            (Verdict::retry("busy"), Answer::Nothing),
            (Verdict::retry(error(451)), Answer::Nothing),
            (Verdict::retry(error(503)), Answer::Trouble(None)),
            (after(error(503)), Answer::Trouble(second)),
            (after(error(429)), Answer::TooMany(second)),
            (
                Verdict::retry(class(ErrorClass::RateLimited)),
                Answer::TooMany(None),
            ),
            (
                Verdict::retry(class(ErrorClass::Connect)),
                Answer::Trouble(None),
            ),
            (
                Verdict::retry(class(ErrorClass::Unavailable)),
                Answer::Trouble(None),
            ),
            (Verdict::retry(class(ErrorClass::Internal)), Answer::Nothing),
        ] {
            assert_eq!(
                Answer::of(std::slice::from_ref(&verdict)),
                answer,
                "{verdict:?}"
            );
        }
        let mixed = [Verdict::retry(error(503)), Verdict::accepted()];
        assert_eq!(Answer::of(&mixed), Answer::Well);
    }
}
