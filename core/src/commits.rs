//! **Commits**: a sign to whoever shows what was written that there is something new, so that they need not wait for their next
//! look. It says that something was written and not what, or for whom: that is read from the database.

use tokio::sync::watch;

use crate::dispatcher::Dispatcher;

/// Tells of what this dispatcher and its clones commit. Got from [`Dispatcher::commits`].
#[derive(Debug, Clone)]
pub struct Commits(watch::Receiver<()>);

impl Commits {
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
    /// committed from now on, and of what is [announced](Dispatcher::announce_commit). Not of
    /// [`enqueue_in`](Dispatcher::enqueue_in), whose commit is the host's, and of other processes only while somebody
    /// [listens](Dispatcher::listen_for_commits): what is not told of is found by looking.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits(self.steps.commits.heard())
    }

    /// Tells those who wait for [`commits`](Dispatcher::commits) of one that no dispatch has made: a host's own transaction,
    /// after its `commit()`, or something that a user did with what was written. With [`WakeUp::Notify`](crate::WakeUp) other
    /// processes hear of it too. To announce nothing, or for nothing, does no harm.
    pub fn announce_commit(&self) {
        self.steps.commits.ring(self.database());
    }

    /// Passes on to [`commits`](Dispatcher::commits) what other processes commit, until it is dropped; now and then for nothing.
    /// It needs Postgres and [`WakeUp::Notify`](crate::WakeUp) on both sides; without them it waits forever. It keeps a
    /// connection of its own.
    ///
    /// # Cancel safety
    ///
    /// To drop it ends the listening.
    pub async fn listen_for_commits(&self) {
        self.steps.commits.listen(self.database()).await;
    }
}
