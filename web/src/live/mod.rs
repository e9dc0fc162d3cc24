//! **Live**: changes of an inbox are sent at once to every connection that shows it, by Server-Sent Events.
//!
//! One watcher polls for all connections of a router, as long as there are any: when something was committed or marked in this
//! process, when another process announces a commit (Postgres, [`WakeUp::Notify`](campanile::WakeUp)), and in any case every poll
//! interval. A poll is one statement for all connections together, and one more for the counts if something changed.
//! [`campanile_inbox::Watch`] promises that nothing is missed between two polls. This module ensures that nothing is missed
//! between a client's first read of the inbox and the next poll: a client that connects during a poll is told to read again.
//!
//! Of HTTP it knows only what an event is.

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

    /// Connects to a part of a user's inbox: its changes are sent from now on.
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
