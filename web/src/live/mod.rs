//! **Live**: what happens in an inbox is told at once to whoever has it open, by Server-Sent Events.
//!
//! One watcher for all connections of a router looks for what is new, as long as there are any: when something was committed or
//! marked in this process, when another process says so (Postgres, [`WakeUp::Notify`](campanile::WakeUp)), and in any case
//! every poll interval. A look is one statement for all of them together, and one more for their counts if there is news.
//! That nothing falls between two looks is the promise of [`campanile_inbox::Watch`]; that nothing falls between a connection's
//! first look at the inbox and the watcher's next one is kept here: who joins while a look is under way is told to look again.
//!
//! It knows nothing of HTTP but what an event is.

pub(crate) mod options;
pub(crate) mod message;
mod hub;
mod watcher;

use std::sync::Arc;

use campanile::Dispatcher;
use campanile_inbox::Inbox;
use tokio::sync::watch;

use crate::live::hub::{Hub, Seat};
use crate::live::options::Options;
use crate::problem::Problem;

/// The live connections of one router. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct Live(Arc<Hub>);

impl Live {
    pub(crate) fn new(dispatcher: Dispatcher, options: Options) -> Self {
        Self(Arc::new(Hub::new(dispatcher, options)))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }

    /// Takes a seat before a part of a user's inbox: whatever happens there from now on is told.
    pub(crate) fn join(
        &self,
        user: &str,
        org: Option<&str>,
        inbox: Inbox,
    ) -> Result<Seat, Problem> {
        self.0.seat(user, org, inbox, || {
            let (sender, begun) = watch::channel(false);
            tokio::spawn(watcher::run(Arc::clone(&self.0), sender));
            begun
        })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.gone.notify_one();
    }
}
