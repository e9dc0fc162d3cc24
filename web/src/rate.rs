//! The **rate** of one user's requests, in this process.
//!
//! The generic cell rate algorithm keeps one instant for each user: when the requests so far would be used up. It is implemented
//! here because it is so small: the crates for it bring a concurrent map, a clock and jitter of their own, and still leave the
//! removal of idle users to the caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many users are kept before idle ones are removed.
const CROWD: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Rate {
    /// What one request uses up.
    each: Duration,
    /// How much may be used in advance.
    ahead: Duration,
    users: Mutex<Users>,
}

#[derive(Debug)]
struct Users {
    used_up_at: HashMap<String, Instant>,
    most: usize,
}

impl Rate {
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / per_second;
        Self {
            each,
            ahead: each * burst,
            users: Mutex::new(Users {
                used_up_at: HashMap::new(),
                most: CROWD,
            }),
        }
    }

    /// Counts a request; an error says how long to wait.
    pub(crate) fn admit(&self, user: &str, now: Instant) -> Result<(), Duration> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let from = users.used_up_at.get(user).map_or(now, |at| (*at).max(now));
        let until = from + self.each;
        let over = until.saturating_duration_since(now + self.ahead);
        if !over.is_zero() {
            return Err(over);
        }
        users.used_up_at.insert(user.to_owned(), until);
        users.remove_idle_users(now);
        Ok(())
    }
}

impl Users {
    fn remove_idle_users(&mut self, now: Instant) {
        if self.used_up_at.len() <= self.most {
            return;
        }
        self.used_up_at.retain(|_, at| *at > now);
        // If many users remain, the next sweep is due when their number has doubled, so its cost is proportional to the requests.
        self.most = CROWD.max(self.used_up_at.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_and_then_one_request_at_a_time() {
        let rate = Rate::new(10, 3);
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(rate.admit("u_ada", now), Ok(()));
        }
        assert_eq!(rate.admit("u_ada", now), Err(Duration::from_millis(100)));
        assert_eq!(
            rate.admit("u_bob", now),
            Ok(()),
            "each user has a rate of their own"
        );
        let later = now + Duration::from_millis(100);
        assert_eq!(rate.admit("u_ada", later), Ok(()));
        assert_eq!(rate.admit("u_ada", later), Err(Duration::from_millis(100)));
        let much_later = now + Duration::from_hours(1);
        for _ in 0..3 {
            assert_eq!(
                rate.admit("u_ada", much_later),
                Ok(()),
                "idle time adds up to one burst"
            );
        }
        assert!(rate.admit("u_ada", much_later).is_err());
    }

    #[test]
    fn idle_users_are_removed() {
        let rate = Rate::new(10, 3);
        let now = Instant::now();
        for user in 0..CROWD {
            rate.admit(&user.to_string(), now).unwrap();
        }
        rate.admit("u_ada", now + Duration::from_secs(1)).unwrap();
        assert_eq!(rate.users.lock().unwrap().used_up_at.len(), 1);
    }
}
