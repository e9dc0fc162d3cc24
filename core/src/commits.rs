//! **Commits**: a signal that something was committed, for code that shows notifications and would otherwise poll. It carries no
//! content: what is new, and for whom, is read from the database.

use tokio::sync::watch;

use crate::dispatcher::Dispatcher;

/// Signals what this dispatcher and its clones commit. See [`Dispatcher::commits`].
#[derive(Debug, Clone)]
pub struct Commits(watch::Receiver<()>);

impl Commits {
    /// Waits for the next commit. Commits since the last call are reported as one. `None` when the dispatcher is gone.
    ///
    /// # Cancel safety
    ///
    /// A signal that was not received is received by the next call.
    pub async fn next(&mut self) -> Option<()> {
        self.0.changed().await.ok()
    }
}

impl Dispatcher {
    /// Signals every [`dispatch`](Dispatcher::dispatch) and [`enqueue`](Dispatcher::enqueue) of this process that commits from
    /// now on, and every [announced](Dispatcher::announce_commit) commit. It does not signal
    /// [`enqueue_in`](Dispatcher::enqueue_in), whose commit is the host's, and signals other processes' commits only while
    /// somebody [listens](Dispatcher::listen_for_commits); poll for those.
    #[must_use]
    pub fn commits(&self) -> Commits {
        Commits(self.steps.commits.receiver())
    }

    /// Signals [`commits`](Dispatcher::commits) after a commit that no dispatch made: the host's own transaction after its
    /// `commit()`, or a change that a user made to stored items. With [`WakeUp::Notify`](crate::WakeUp) it reaches other
    /// processes too. Spurious calls are harmless.
    pub fn announce_commit(&self) {
        self.steps.commits.send(self.database());
    }

    /// Forwards the commits of other processes to [`commits`](Dispatcher::commits) until it is dropped. Some signals are
    /// spurious. It needs Postgres and [`WakeUp::Notify`](crate::WakeUp) on both sides; without them it waits forever. It uses
    /// a connection of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the listening.
    pub async fn listen_for_commits(&self) {
        self.steps.commits.listen(self.database()).await;
    }
}
