//! The rule of the brake, with simulated time.

use std::time::{Duration, Instant};

use super::state::MAX_PAUSE;
use super::*;
use crate::channel::delivery::{DeliveryError, ErrorClass, Verdict};

const MILLI: Duration = Duration::from_millis(1);

/// Makes calls one after the other, as soon as each may start, for the given time; a call takes ten milliseconds and is answered
/// by `provider`, which gets the time since the start. Returns when the calls started.
fn calls(
    state: &mut State,
    from: Instant,
    time: Duration,
    mut provider: impl FnMut(Duration) -> Answer,
) -> Vec<Duration> {
    let (mut now, mut begun) = (from, Vec::new());
    while now < from + time {
        if let Ok((generation, is_trial)) = state.begin(now) {
            begun.push(now - from);
            let answer = provider(now - from);
            now += 10 * MILLI;
            state.told(generation, is_trial, answer, now);
        } else {
            now += 5 * MILLI;
        }
    }
    begun
}

/// A provider that accepts this many calls each second.
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
fn a_provider_gets_at_most_twice_the_calls_it_accepts() {
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
                "{} calls, {taken} accepted, {each_second} per second",
                begun.len()
            );
            assert!(begun.len() <= 2 * taken, "{said}, {after:?}");
            // Slowed down, but not stopped.
            assert!(taken >= 15 * each_second as usize, "{said}, {after:?}");
        }
    }
}

#[test]
fn calls_are_back_at_full_speed_within_seconds_of_the_end_of_a_rate_limit() {
    let (mut state, from) = (State::default(), Instant::now());
    calls(&mut state, from, Duration::from_secs(20), limited(2, None));
    let from = from + Duration::from_secs(20);
    let begun = calls(&mut state, from, Duration::from_secs(20), |_| Answer::Well);
    let late = begun.iter().filter(|at| **at >= Duration::from_secs(19));
    assert!(late.count() >= 99, "one call after the other");
    assert_eq!(state.room(from + Duration::from_secs(20)), Room::Everything);
}

#[test]
fn a_provider_that_is_down_is_called_rarely_and_its_recovery_is_found_within_half_a_minute() {
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
fn a_requested_pause_is_kept_and_nonsense_is_ignored() {
    for (asked, min, max) in [
        (0, 0, 1),
        (60, 60, 61),
        (3_600, 300, 301),
        (u64::MAX, 300, 301),
    ] {
        let (mut state, from) = (State::default(), Instant::now());
        let asked = Answer::TooMany(Some(Duration::from_secs(asked)));
        let begun = calls(&mut state, from, Duration::from_mins(10), |_| asked);
        let pause = begun[1].abs_diff(begun[0]);
        assert!(pause >= Duration::from_secs(min), "{pause:?}");
        assert!(pause <= Duration::from_secs(max), "{pause:?}");
    }
}

#[test]
fn calls_that_are_refused_together_apply_the_brake_once_and_the_longest_pause_counts() {
    let (mut state, now) = (State::default(), Instant::now());
    let begun: Vec<_> = (0..8).map(|_| state.begin(now).unwrap()).collect();
    for (n, (generation, is_trial)) in begun.into_iter().enumerate() {
        let after = Some(Duration::from_secs(if n == 5 { 60 } else { 1 }));
        state.told(generation, is_trial, Answer::TooMany(after), now);
    }
    assert_eq!(state.level, 1);
    assert!(state.begin(now + Duration::from_secs(59)).is_err());
    let then = now + Duration::from_mins(1);
    assert!(state.begin(then).is_ok());
    // One at a time, until the trial has succeeded.
    assert_eq!(state.begin(then).unwrap_err(), Wait::Trial);
    assert_eq!(state.room(then), Room::Nothing);
}

#[test]
fn one_failure_among_many_calls_is_not_an_outage() {
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
fn the_answer_of_a_call_is_derived_from_its_verdicts() {
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
