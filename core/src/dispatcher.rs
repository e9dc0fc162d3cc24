//! The **dispatcher**: the one seam between call sites and channels. Its methods only delegate; the logic is in
//! [`dispatch`](crate::dispatch).

use std::sync::Arc;

use uuid::Uuid;

use crate::builder::Builder;
use crate::channel::erasure::ErasureKey;
use crate::database::Database;
use crate::database::error::StoreError;
use crate::database::statement;
use crate::database::transaction::InTransaction;
use crate::deliver::poll;
use crate::deliver::round::Attempted;
use crate::deliver::worker::Worker;
use crate::dispatch::{Explanation, FirstAttempt, Steps, only};
use crate::error::DispatchError;
use crate::event::notice::Notice;
use crate::event::recipient::InvalidInput;
use crate::operate::Operations;
use crate::operate::addresses::AddressTable;
use crate::operate::preferences::UserPreferences;
use crate::plan::registry::Registry;
use crate::report::DispatchReport;

/// Decides who is notified of an event, on which channels, and whether it is a repeat. Cheap to clone.
///
/// Three ways in: [`dispatch`](Dispatcher::dispatch) commits and makes the first attempt of every remote
/// delivery itself, [`enqueue`](Dispatcher::enqueue) commits and leaves remote deliveries to a worker,
/// [`enqueue_in`](Dispatcher::enqueue_in) writes inside the host's own transaction. All three are durable, and none fails
/// because a channel failed.
#[derive(Clone)]
pub struct Dispatcher {
    pub(crate) steps: Arc<Steps>,
    pub(crate) operations: Operations,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("database", &self.database().kind())
            .field("remote_channels", &self.steps.writer.channels.keys())
            .finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// Every statement in the dialect of the database, by a name: those that are linked, and what is composed with the local channels.
    pub(crate) fn statements(&self) -> Vec<(String, String)> {
        let database = self.database();
        let linked = statement::every(database).into_iter();
        let linked = linked.map(|one| (one.name().to_owned(), one.on(database).to_owned()));
        let composed = self.steps.writer.statements.every(database).into_iter();
        let composed = composed.map(|(name, sql)| (name, sql.as_str().to_owned()));
        linked.chain(composed).collect()
    }
}

impl Dispatcher {
    /// Begins a dispatcher.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Writes the notification and commits, then makes the first attempt of every remote delivery and waits for it.
    ///
    /// It waits for a channel no longer than the builder's [`attempt_timeout`](Builder::attempt_timeout), even if the channel's
    /// policy lets a call take longer. A call that is still under way then is reported as queued, and recorded when it ends.
    ///
    /// Deliveries beyond [`Builder::inline_deliveries`] (default: 100) are left to a worker and reported as queued.
    ///
    /// # Errors
    ///
    /// When nothing could be tried: an unknown event, an id that cannot be stored, a payload that does not fit the event, is
    /// larger than 1 MiB or nested deeper than 32 levels, a database that does not answer. Nothing was written then, with one
    /// exception: after [`DispatchError::CommitUnknown`] nobody can know. A channel that fails is an outcome in the report, and
    /// so is one whose templates fail on this payload. An unusable link is left out.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the dispatch runs in a task of its own: dropping the future loses the report and nothing else. Everything
    /// is written, or nothing.
    pub async fn dispatch(
        &self,
        notice: impl Into<Notice>,
    ) -> Result<DispatchReport, DispatchError> {
        let checked = vec![self.steps.check(notice.into())?];
        self.steps
            .perform(checked, FirstAttempt::Here)
            .await
            .map(only)
    }

    /// Commits, and leaves remote deliveries to a worker.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`].
    ///
    /// # Cancel safety
    ///
    /// As [`Dispatcher::dispatch`].
    pub async fn enqueue(
        &self,
        notice: impl Into<Notice>,
    ) -> Result<DispatchReport, DispatchError> {
        let checked = vec![self.steps.check(notice.into())?];
        self.steps
            .perform(checked, FirstAttempt::ByWorker)
            .await
            .map(only)
    }

    /// Commits several notices in one write, all or none, and leaves remote deliveries to a worker.
    ///
    /// The reports are in the order of the notices. If two fall into one window, the first is admitted and the second is a repeat.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`]; one bad notice refuses them all.
    ///
    /// # Cancel safety
    ///
    /// As [`Dispatcher::dispatch`].
    pub async fn enqueue_all(
        &self,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        let checked = self.steps.check_all(notices)?;
        self.steps.perform(checked, FirstAttempt::ByWorker).await
    }

    /// Writes inside the host's own transaction, so that an action that is rolled back cannot notify.
    ///
    /// Remote deliveries are left to a worker; nothing talks to the network. The report says what is written once the host
    /// commits.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`], and [`DispatchError::NotInTransaction`] or [`DispatchError::OtherDatabase`] for a
    /// connection that does not fit. After a [`DispatchError::Store`] on Postgres the host's transaction is aborted, as
    /// after any failed statement of its own: roll it back, and if the error is
    /// [transient](DispatchError::is_transient) (a deadlock, a serialization failure) retry the whole transaction. A `commit()` of
    /// an aborted transaction rolls it back, and sqlx returns `Ok` for that. On SQLite begin with `BEGIN IMMEDIATE` if you read before you write; a
    /// transaction that has only just begun waits for its turn here.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves all of its writes in the transaction or none of them; roll back if you cannot tell. On a
    /// connection where the transaction was begun by a raw `BEGIN`, which sqlx does not know of, roll back in any case.
    ///
    /// # Time
    ///
    /// [`Database::statement_timeout`](crate::Database::statement_timeout) does not apply to the host's connection; its
    /// documentation says what the host should set.
    ///
    /// # Several in one transaction
    ///
    /// A notice with a dedup window locks that window until the host commits. Two transactions that call this more than once,
    /// for the same windows in different orders, deadlock on Postgres, and the server aborts one of them (40P01). Give the
    /// notices of a transaction to [`enqueue_all_in`](Dispatcher::enqueue_all_in) in one call, which locks in one order.
    ///
    /// # Isolation
    ///
    /// At `REPEATABLE READ` and `SERIALIZABLE` a window that another transaction took since this one's snapshot is a
    /// serialization failure (40001), as for any row of the host's own: retry the transaction. At `SERIALIZABLE` windows are not
    /// read before they are claimed, so that concurrent dispatches cause no serialization failures. Preferences are read: a
    /// serializable transaction that changes preferences may conflict with a concurrent dispatch to the same users, and on very small
    /// tables, which Postgres scans whole, to any user.
    pub async fn enqueue_in<'c>(
        &self,
        transaction: impl Into<InTransaction<'c>>,
        notice: impl Into<Notice>,
    ) -> Result<DispatchReport, DispatchError> {
        let checked = vec![self.steps.check(notice.into())?];
        self.steps
            .write_in(transaction.into(), checked)
            .await
            .map(only)
    }

    /// Writes several notices inside the host's own transaction, in one step that locks their windows in one order: two
    /// transactions that name the same windows, in whichever order, wait for each other and do not deadlock.
    ///
    /// The reports are in the order of the notices. If two fall into one window, the first is admitted and the second is a repeat.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::enqueue_in`]; one bad notice refuses them all.
    ///
    /// # Cancel safety
    ///
    /// As [`Dispatcher::enqueue_in`].
    pub async fn enqueue_all_in<'c>(
        &self,
        transaction: impl Into<InTransaction<'c>>,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        let checked = self.steps.check_all(notices)?;
        if checked.is_empty() {
            return Ok(Vec::new());
        }
        self.steps.write_in(transaction.into(), checked).await
    }

    /// The plan of a notice: for each recipient and channel the rule that decided, and the rendered content. Writes nothing.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`].
    pub async fn explain(&self, notice: impl Into<Notice>) -> Result<Explanation, DispatchError> {
        self.steps.explain(notice.into()).await
    }

    /// The settings of one user.
    ///
    /// # Errors
    ///
    /// When the user id is empty, too long or holds a control character.
    pub fn preferences_of(&self, user: &str) -> Result<UserPreferences<'_>, InvalidInput> {
        UserPreferences::new(self.database(), self.registry(), user)
    }

    /// The table `notification_addresses`, which is the address book unless the host gave one of its own.
    #[must_use]
    pub fn addresses(&self) -> AddressTable {
        AddressTable::new(self.database().clone())
    }

    /// The key under which hashes of erased addresses are kept, if there is one; see
    /// [`Builder::erasure_key`](crate::Builder::erasure_key).
    #[must_use]
    pub const fn erasure_key(&self) -> Option<&ErasureKey> {
        self.operations.erasure_key.as_ref()
    }

    /// This process, as the delivery log, leases and [`Operations::workers`] name it. Clones of a dispatcher share it.
    #[must_use]
    pub fn worker_id(&self) -> Uuid {
        self.steps.deliverer.worker
    }

    /// Every event and channel of this binary.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.steps.writer.planner.registry
    }

    /// The database it writes to.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.steps.writer.database
    }

    /// Makes one round: tries up to `at_most` due deliveries of each channel, whether queued, waiting for a retry, or left by a
    /// process that died. Reads preferences again before each call. Also releases windows whose release had to wait for a
    /// lock. A call that takes longer than the builder's time-out ends by itself. Any number of processes may call it in a loop.
    ///
    /// # Errors
    ///
    /// When the database does not answer. A channel's failure is recorded with its delivery and is not an error.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it runs in a task of its own.
    ///
    /// # Panics
    ///
    /// Never by itself.
    pub async fn deliver_due(&self, at_most: usize) -> Result<Attempted, StoreError> {
        poll::all(&self.steps.deliverer, at_most).await
    }

    /// What an operator sees and changes.
    #[must_use]
    pub const fn operations(&self) -> &Operations {
        &self.operations
    }
}

impl Worker {
    /// A worker for the channels that this binary links.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a dispatcher is cheap to clone, and a worker is all that is left of it"
    )]
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self::over(Arc::clone(&dispatcher.steps.deliverer))
    }
}
