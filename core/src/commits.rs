//! **Commits**: a sign to whoever shows what was written that there is something new, so that they need not wait for their next
//! look. It says that something was written and not what, or for whom: that is read from the database.

use tokio::sync::watch;

use crate::dispatch::Dispatcher;

/// Tells of what this dispatcher and its clones commit. Got from [`Dispatcher::commits`].
#[derive(Debug, Clone)]
pub struct Commits(watch::Receiver<()>);

impl Commits {
    pub(crate) fn of(sender: &watch::Sender<()>) -> Self {
        Self(sender.subscribe())
    }

    /// Waits for a commit since the last one that was told of; many at once are one. `None` when the dispatcher is gone.
    ///
    /// # Cancel safety
    ///
    /// What was not told of is told of the next time.
    pub async fn next(&mut self) -> Option<()> {
        self.0.changed().await.ok()
    }
}

impl Dispatcher {
    /// Tells of every [`dispatch`](Dispatcher::dispatch) and [`enqueue`](Dispatcher::enqueue) of this process that is
    /// committed from now on. Not of [`enqueue_in`](Dispatcher::enqueue_in), whose commit is the host's, and not of other
    /// processes: those are found by looking.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits::of(&self.inner.commits)
    }
}
