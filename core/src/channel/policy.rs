//! A **policy** defines how a channel's deliveries are retried, and how much of a process's resources they may use.
//!
//! A channel declares its own ([`Channel::policy`](crate::channel::Channel::policy)), and a host tunes it
//! ([`Builder::tune`](crate::Builder::tune)). It knows about no clock, no row, and no channel by name.

use std::time::Duration;

/// How a channel's deliveries are retried, and how much of a process's resources they may use.
///
/// ```
/// use std::time::Duration;
/// use campanile::channel::Policy;
///
/// // A provider that recognizes a repeated key for a day and accepts two calls a second.
/// const POLICY: Policy = Policy::new()
///     .key_lifetime(Duration::from_hours(24))
///     .horizon(Duration::from_hours(20))
///     .calls_per_second(2);
/// # let _ = POLICY;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a policy has no effect until a channel uses it"]
pub struct Policy {
    pub(crate) backoff_base: Duration,
    pub(crate) backoff_cap: Duration,
    pub(crate) horizon: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) key_lifetime: Option<Duration>,
    pub(crate) max_lost_answers: u32,
    pub(crate) outage: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) concurrency: usize,
    pub(crate) batch: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) calls_per_second: Option<u32>,
}

impl Policy {
    /// The defaults: pauses of 10 seconds to 2 hours for 20 hours, no support for idempotency keys and at most two attempts whose
    /// answer is lost, 32 calls at once, 100 deliveries claimed at a time.
    pub const fn new() -> Self {
        Self {
            backoff_base: Duration::from_secs(10),
            backoff_cap: Duration::from_hours(2),
            horizon: Duration::from_hours(20),
            max_attempts: 30,
            key_lifetime: None,
            max_lost_answers: 2,
            outage: Duration::from_hours(4 * 24),
            attempt_timeout: None,
            concurrency: 32,
            batch: 100,
            batch_bytes: usize::MAX,
            calls_per_second: None,
        }
    }

    /// The pause after the n-th failure is anywhere between zero and `base * 2^(n-1)`, at most `cap` ("full jitter"). A provider
    /// that asks for a longer pause gets it, up to `cap`.
    pub const fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.backoff_base = base;
        self.backoff_cap = cap;
        self
    }

    /// How long after its first attempt a delivery is still retried. It must be shorter than the provider's
    /// [`key_lifetime`](Policy::key_lifetime), if it has one. An [outage](Policy::outage) does not count, unless an earlier
    /// attempt may have been sent.
    pub const fn horizon(mut self, horizon: Duration) -> Self {
        self.horizon = horizon;
        self
    }

    /// The maximum number of attempts of a delivery. Default: 30. It limits a delivery that crashes its worker.
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long the provider recognizes a repeated idempotency key. Default: it does not support keys.
    pub const fn key_lifetime(mut self, lifetime: Duration) -> Self {
        self.key_lifetime = Some(lifetime);
        self
    }

    /// How many attempts of a delivery may lose their answer if the provider does not support keys. After the last of them it
    /// ends as unknown, for an operator to decide. Default: 2, so that a recipient gets at most two copies; with 1 at most one. A
    /// worker that dies during a call loses the answer too.
    pub const fn max_lost_answers(mut self, attempts: u32) -> Self {
        self.max_lost_answers = attempts;
        self
    }

    /// How long a delivery waits through an outage: the provider cannot be reached
    /// ([`ErrorClass::Connect`](crate::channel::delivery::ErrorClass::Connect)) or limits the rate
    /// ([`ErrorClass::RateLimited`](crate::channel::delivery::ErrorClass::RateLimited)), or the app's own address book does not answer
    /// ([`ErrorClass::Internal`](crate::channel::delivery::ErrorClass::Internal)). Such a try uses no attempt. The time begins with
    /// the first such try in a row; after it the delivery is dead, and its error says so. Default: 4 days.
    pub const fn outage(mut self, outage: Duration) -> Self {
        self.outage = outage;
        self
    }

    /// How long one call of the channel may take. Default: the builder's [`attempt_timeout`](crate::Builder::attempt_timeout). It
    /// may be longer than the lease, which is renewed during the call. A dispatch and `deliver_due` wait no longer than the
    /// builder's timeout; the call then finishes in the background.
    pub const fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// The maximum number of concurrent calls of the channel in one process.
    pub const fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
        self
    }

    /// How many deliveries a worker claims at a time.
    pub const fn batch(mut self, deliveries: usize) -> Self {
        self.batch = deliveries;
        self
    }

    /// The maximum size of rendered content in one call, in bytes, where the provider recognizes batches by their key. A single
    /// delivery is sent whatever its size.
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// The maximum number of calls that one process starts per second, evenly spaced. Default: no limit.
    pub const fn calls_per_second(mut self, calls: u32) -> Self {
        self.calls_per_second = Some(calls);
        self
    }

    /// Whether a repeated attempt is recognized by the provider.
    #[must_use]
    pub const fn supports_keys(&self) -> bool {
        self.key_lifetime.is_some()
    }

    /// Whether this many lost answers are too many to retry.
    pub(crate) const fn gives_up_after(&self, lost_answers: u32) -> bool {
        !self.supports_keys() && lost_answers >= self.max_lost_answers
    }

    /// The maximum pause after this many attempts that count.
    pub(crate) fn longest_pause(&self, attempts: u32) -> Duration {
        self.backoff_base
            .saturating_mul(1 << attempts.saturating_sub(1).min(20))
            .min(self.backoff_cap)
    }

    /// How many deliveries a round can start in this time, if the rate of calls is limited.
    pub(crate) fn claimable(&self, time: Duration, max_batch: usize) -> usize {
        let Some(calls) = self.calls_per_second else {
            return self.batch;
        };
        let calls = (f64::from(calls) * time.as_secs_f64()).floor();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of calls, and the cast saturates"
        )]
        let calls = (calls as usize).max(1);
        self.batch.min(calls.saturating_mul(max_batch))
    }

    /// The problems of the policy, each with how to fix it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(lifetime) = self
            .key_lifetime
            .filter(|lifetime| *lifetime <= self.horizon)
        {
            problems.push(format!(
                "its deliveries are retried for {:?}, but its provider forgets an idempotency key after {lifetime:?}, so that a \
                 late retry would go out twice: set `.horizon(..)` below that",
                self.horizon
            ));
        }
        if self.backoff_base.is_zero() || self.backoff_base > self.backoff_cap {
            problems.push(format!(
                "its pauses begin with {:?} and end with {:?}: the first must be above zero and not above the second",
                self.backoff_base, self.backoff_cap
            ));
        }
        for (name, value) in [
            ("max_attempts", self.max_attempts as usize),
            ("max_lost_answers", self.max_lost_answers as usize),
            ("concurrency", self.concurrency),
            ("batch", self.batch),
            (
                "calls_per_second",
                self.calls_per_second.map_or(1, |calls| calls as usize),
            ),
        ] {
            if value == 0 {
                problems.push(format!("`{name}` is 0, so that nothing would ever be sent"));
            }
        }
        if self.outage.is_zero() {
            problems.push("`outage` is 0, so that a broken connection would end a delivery".into());
        }
        if self.attempt_timeout.is_some_and(|time| time.is_zero()) {
            problems.push("`attempt_timeout` is 0, so that no call could ever succeed".into());
        }
        if self.calls_per_second.is_some_and(|calls| calls > 1_000_000) {
            problems.push("`calls_per_second` is above a million: leave it out".into());
        }
        problems
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let policy = Policy::new();
        assert_eq!(policy.longest_pause(1), Duration::from_secs(10));
        assert_eq!(policy.longest_pause(4), Duration::from_secs(80));
        assert_eq!(policy.longest_pause(40), Duration::from_hours(2));
    }

    #[test]
    fn a_policy_that_could_send_twice_or_never_is_rejected() {
        assert!(Policy::new().problems().is_empty());
        let a_day = Duration::from_hours(24);
        assert!(Policy::new().key_lifetime(a_day).problems().is_empty());
        for (wrong, named) in [
            (
                Policy::new().key_lifetime(a_day).horizon(a_day),
                "forgets an idempotency key",
            ),
            (Policy::new().backoff(Duration::ZERO, a_day), "above zero"),
            (
                Policy::new().backoff(a_day, Duration::from_secs(1)),
                "not above the second",
            ),
            (Policy::new().concurrency(0), "`concurrency` is 0"),
            (Policy::new().batch(0), "`batch` is 0"),
            (Policy::new().max_attempts(0), "`max_attempts` is 0"),
            (Policy::new().max_lost_answers(0), "`max_lost_answers` is 0"),
            (Policy::new().outage(Duration::ZERO), "`outage` is 0"),
            (
                Policy::new().attempt_timeout(Duration::ZERO),
                "`attempt_timeout` is 0",
            ),
            (Policy::new().calls_per_second(0), "`calls_per_second` is 0"),
        ] {
            let problems = wrong.problems();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(named), "{problems:?}");
        }
    }

    #[test]
    fn no_more_is_claimed_than_can_be_started() {
        let time = Duration::from_secs(5);
        assert_eq!(Policy::new().claimable(time, 1), 100);
        assert_eq!(Policy::new().calls_per_second(2).claimable(time, 1), 10);
        assert_eq!(Policy::new().calls_per_second(2).claimable(time, 100), 100);
        assert_eq!(
            Policy::new()
                .calls_per_second(1)
                .claimable(Duration::from_millis(1), 1),
            1
        );
    }
}
