//! Deliveries that are **left alone** for a while, because the database refuses to change their row, for example by a trigger of
//! the host's. This process does not claim them: it could not record their outcome, and would send them again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long they are left alone.
const LEFT_ALONE: Duration = Duration::from_mins(10);

/// Deliveries, each with the time until which it is left alone.
#[derive(Debug, Default)]
pub(crate) struct LeftAlone(Mutex<HashMap<Uuid, Instant>>);

impl LeftAlone {
    /// Leaves these alone from now on.
    pub(crate) fn extend(&self, deliveries: &[Uuid]) {
        let until = Instant::now() + LEFT_ALONE;
        let mut left_alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.extend(deliveries.iter().map(|id| (*id, until)));
    }

    /// The deliveries that are left alone now.
    pub(crate) fn now(&self) -> Vec<Uuid> {
        let now = Instant::now();
        let mut left_alone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left_alone.retain(|_, until| *until > now);
        left_alone.keys().copied().collect()
    }
}
