//! A **brake** slows one channel in this process: after a rate limit or an outage no call begins for a while, then one at a
//! time, then as fast as it goes well; and a channel that is misconfigured here makes no call but its probes.
//!
//! It knows what calls said, and this process's own clock, because it paces and schedules nothing. It knows no row. Here is who waits
//! and who tells; [`state`] is the rule, [`answer`] what a call says.

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

/// What one call has been admitted with. Dropped without an answer, it says nothing.
#[derive(Debug)]
pub(crate) struct Ticket {
    brake: Arc<Brake>,
    generation: u64,
    is_trial: bool,
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
    /// Waits until a call may begin; `None` if that takes longer than a lease should be held for it.
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

    /// How much it is worth to claim now.
    pub(crate) fn room(&self) -> Room {
        self.state().room(Instant::now())
    }

    /// Whether the channel is misconfigured in this process, so that no call begins.
    pub(crate) fn is_paused(&self) -> bool {
        self.state().is_paused()
    }

    /// Lets one call at a time show whether the channel works again.
    pub(crate) fn probe(&self) {
        self.state().probe();
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
        self.state().end_probe();
    }

    /// Somebody else found that the channel works again, or an operator says so.
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
