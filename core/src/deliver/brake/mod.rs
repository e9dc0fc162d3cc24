//! A **brake** slows one channel in this process: after a rate limit or an outage no call starts for a while, then one at a time,
//! then faster as long as calls succeed; and a channel that is misconfigured here makes no calls except its probes.
//!
//! It knows the answers of calls and this process's own clock, and no rows. This file is for the callers that wait and report;
//! [`state`] is the rule, [`answer`] what a call shows.

mod answer;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

pub(crate) use self::answer::Answer;
pub(crate) use self::state::{Room, Then};
use self::state::{State, Wait};

/// One channel's brake.
#[derive(Debug, Default)]
pub(crate) struct Brake {
    state: Mutex<State>,
    changed: Notify,
}

/// The admission of one call. Dropped without an answer, it has no effect on the brake.
#[derive(Debug)]
pub(crate) struct Ticket {
    brake: Arc<Brake>,
    generation: u64,
    is_trial: bool,
    is_told: bool,
}

impl Ticket {
    /// Reports the answer of the call.
    pub(crate) fn tell(mut self, answer: Answer) -> Then {
        self.is_told = true;
        self.brake.told(&self, answer, Instant::now())
    }

    /// Whether the brake was applied since.
    pub(crate) fn is_void(&self) -> bool {
        self.brake.state().generation != self.generation
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
    /// Waits until a call may start; `None` if that takes longer than a lease should be held for it.
    pub(crate) async fn admit(self: &Arc<Self>) -> Option<Ticket> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.begin(Instant::now()) {
                Ok(ticket) => return Some(ticket),
                Err(Wait::TooLong) => return None,
                Err(Wait::Until(at)) => tokio::time::sleep_until(at.into()).await,
                Err(Wait::Trial) => changed.await,
            }
        }
    }

    /// How many deliveries are worth claiming now.
    pub(crate) fn room(&self) -> Room {
        self.state().room(Instant::now())
    }

    /// Whether the channel is misconfigured in this process, so that no call starts.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().is_paused()
    }

    /// Allows one call at a time to find out whether the channel works again.
    pub(crate) fn probe(&self) {
        self.state().probe();
    }

    /// Notes that the pause is recorded, so that others see it.
    pub(crate) fn noted(&self) {
        self.state().is_noted = true;
    }

    /// Whether the pause is recorded.
    pub(crate) fn is_noted(&self) -> bool {
        self.state().is_noted
    }

    /// Ends a probe that has not shown that the channel works.
    pub(crate) fn end_probe(&self) {
        self.state().end_probe();
    }

    /// Another worker found that the channel works again, or an operator resumed it.
    pub(crate) fn resume(&self) {
        self.state().resume();
        self.changed.notify_waiters();
    }

    fn begin(self: &Arc<Self>, now: Instant) -> Result<Ticket, Wait> {
        let (generation, is_trial) = self.state().begin(now)?;
        Ok(Ticket {
            brake: Arc::clone(self),
            generation,
            is_trial,
            is_told: false,
        })
    }

    fn told(&self, ticket: &Ticket, answer: Answer, now: Instant) -> Then {
        let then = self
            .state()
            .told(ticket.generation, ticket.is_trial, answer, now);
        self.changed.notify_waiters();
        then
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
