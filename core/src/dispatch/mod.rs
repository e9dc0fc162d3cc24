//! **Dispatch**: the one seam between call sites and channels, as eight named steps.
//!
//! Look up, validate, read preferences once, plan, render once, write once, deliver, report. This file knows no channel by
//! name and no channel's table.

pub(crate) mod write;
pub(crate) mod complete;
pub(crate) mod account;
pub mod report;
pub(crate) mod commits;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, Semaphore};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::builder::Builder;
use crate::channel::Channel;
use crate::channel::policy::Policy;
use crate::database::connection::within;
use crate::database::transaction::InTransaction;
use crate::database::wake::Bell;
use crate::database::{Database, Held, Pool, each_database};
use crate::deliver::address::{AddressBook, AddressTable};
use crate::deliver::bulkhead::Bulkhead;
use crate::deliver::left_alone::LeftAlone;
use crate::dispatch::account::empty_report;
use crate::dispatch::report::DispatchReport;
use crate::dispatch::write::{Checked, Planned, Written};
use crate::error::{DispatchError, StoreError};
use crate::event::EventDeclaration;
use crate::event::notice::{Content as NoticeContent, Notice};
use crate::event::payload::{Payload, PayloadError};
use crate::event::recipient::{self, InvalidInput};
use crate::event::suggest::shown;
use crate::observe::trace_context;
use crate::operate::prune::PruneStatements;
use crate::plan::Plan;
use crate::plan::dedup;
use crate::plan::registry::Registry;
use crate::plan::render::{Content, Failures, HttpLinks};
use crate::preferences::UserPreferences;
use crate::store::{Lease, Statements};

/// Decides who hears of an event, where, and whether it is a repeat. Cheap to clone.
///
/// Three ways in, one planner: [`dispatch`](Dispatcher::dispatch) commits and makes the first attempt of every remote
/// delivery itself, [`enqueue`](Dispatcher::enqueue) commits and leaves remote deliveries to a worker,
/// [`enqueue_in`](Dispatcher::enqueue_in) writes inside the host's own transaction. All three are durable, and none fails
/// because a channel failed.
#[derive(Clone)]
pub struct Dispatcher {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) database: Database,
    pub(crate) registry: Registry,
    pub(crate) statements: Statements,
    /// The remote channels, by name.
    pub(crate) channels: BTreeMap<&'static str, Remote>,
    pub(crate) address_book: Arc<dyn AddressBook>,
    pub(crate) limits: Limits,
    /// What erases a user from the channels' own tables.
    pub(crate) forget_statements: Vec<&'static str>,
    /// What deletes items from the local channels' own tables.
    pub(crate) prune_statements: PruneStatements,
    /// This process, in leases and in the delivery log.
    pub(crate) worker: Uuid,
    /// What this process does not claim for a while.
    pub(crate) left_alone: LeftAlone,
    /// How many workers run over this dispatcher: they are one to others.
    pub(crate) running: AtomicUsize,
    /// What wakes workers.
    pub(crate) bell: Arc<Bell>,
    /// What tells of commits.
    pub(crate) commits: Arc<Bell>,
}

/// A remote channel, with what its deliveries may take.
pub(crate) struct Remote {
    pub(crate) channel: Arc<dyn Channel>,
    pub(crate) policy: Policy,
    pub(crate) bulkhead: Bulkhead,
    /// Wakes one of the tasks that work on it.
    pub(crate) wake: Notify,
    /// How many look-ups of its addresses are under way at once, at the most.
    pub(crate) look_ups: Arc<Semaphore>,
}

impl Remote {
    /// How many of so many deliveries it is worth to claim now.
    pub(crate) fn room(&self, at_most: usize) -> usize {
        self.bulkhead.room(at_most, self.channel.max_batch().max(1))
    }
}

/// A share that may begin calls for longer would hold what others could deliver.
const MAX_TIME_TO_START: Duration = Duration::from_secs(15);

/// The numbers a host may set on the [`Builder`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_recipients: usize,
    pub(crate) chunk: usize,
    pub(crate) inline_deliveries: usize,
    pub(crate) attempt_timeout: Duration,
    pub(crate) lease: Duration,
    pub(crate) lock_wait: Duration,
    pub(crate) http_links: HttpLinks,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dispatcher")
            .field("database", &self.inner.database.kind())
            .field("remote_channels", &self.inner.channels.keys())
            .finish_non_exhaustive()
    }
}

/// What a dispatch would do: the same plan, nothing written.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The event's type; the alias is resolved.
    pub event_type: &'static str,
    /// What a user mutes to not hear of it.
    pub category: &'static str,
    /// What makes two dispatches a repeat, inside the window.
    pub dedup_key: String,
    /// The window; zero means that nothing is a repeat.
    pub window_seconds: f64,
    /// Every recipient, and each channel with the rule that decided.
    #[serde(flatten)]
    pub plan: Plan,
    /// What would be sent, for each channel that is planned for anybody. Secret fields are masked.
    pub content: Content,
    /// Why nothing would be sent on a channel that is planned: a part that cannot be rendered.
    pub failures: Failures,
}

/// Who makes the first attempt of the remote deliveries.
#[derive(Clone, Copy)]
enum FirstAttempt {
    /// This call, for as many as the limit allows.
    Here,
    /// A worker.
    ByWorker,
}

impl Dispatcher {
    /// Starts to build a dispatcher.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Tells the recipients: commits, then makes the first attempt of every remote delivery and waits for it.
    ///
    /// A channel whose policy lets a call take longer than the builder's time-out is waited for no longer than that; what is
    /// still under way then is reported as queued and recorded when it ends.
    ///
    /// Beyond a limit (100 remote deliveries, see [`Builder::inline_deliveries`]) deliveries are left to a worker and
    /// reported as queued.
    ///
    /// # Errors
    ///
    /// When nothing could be tried: an unknown event, an id that cannot be stored, a payload that does not fit the event, is
    /// larger than 1 MiB or nested deeper than 32 levels, a database that does not answer. Nothing was written then, with one
    /// exception: when the answer to the commit is lost nobody can know, and that is [`DispatchError::CommitUnknown`]. A
    /// channel that fails is an outcome in the report, also one whose templates fail on this payload; a link that cannot be
    /// used is left out.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the dispatch goes on in a task of its own: a dropped future loses the report and nothing else. Either
    /// everything is written or nothing.
    pub async fn dispatch(
        &self,
        notice: impl Into<Notice>,
    ) -> Result<DispatchReport, DispatchError> {
        let checked = vec![self.check(notice.into())?];
        self.perform(checked, FirstAttempt::Here).await.map(only)
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
        let checked = vec![self.check(notice.into())?];
        self.perform(checked, FirstAttempt::ByWorker)
            .await
            .map(only)
    }

    /// Commits several notices in one write, all or none, and leaves remote deliveries to a worker.
    ///
    /// The reports are in the order of the notices. Of two that fall into one window the first counts.
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
        let checked = self.check_all(notices)?;
        self.perform(checked, FirstAttempt::ByWorker).await
    }

    /// Writes inside the host's own transaction, so that an action that is rolled back cannot notify.
    ///
    /// Remote deliveries are left to a worker; nothing talks to the network. The report tells what is written once the
    /// host commits.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`], and [`DispatchError::NotInTransaction`] or [`DispatchError::OtherDatabase`] for a
    /// connection that does not fit. After a [`DispatchError::Store`] on Postgres the host's transaction is aborted, as
    /// after any failed statement of its own: roll it back, and where the error is
    /// [transient](DispatchError::is_transient) (a deadlock, a serialization failure) begin the whole of it again. Whoever goes on
    /// and commits all the same has rolled back, and sqlx says `Ok` to that. On SQLite begin with `BEGIN IMMEDIATE` if you read before you write; a
    /// transaction that has only just begun waits for its turn here.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves all of its writes in the transaction or none of them; roll back if you cannot tell. On a
    /// connection where the transaction was begun by a raw `BEGIN`, which sqlx does not know of, roll back in any case.
    ///
    /// # Time
    ///
    /// [`Database::statement_timeout`](crate::Database::statement_timeout) does not count on a connection of the host's: it says
    /// what the host should set.
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
    /// serialization failure (40001), as for any row of the host's own. At `SERIALIZABLE` what is read here counts too: the
    /// recipients' preferences and the windows that are claimed, each by its key. Postgres tracks that by row while the tables
    /// are large enough for their indexes to be used; on tables of a few pages it reads them whole and refuses transactions
    /// that have nothing in common. Retry as for any other statement at that level.
    pub async fn enqueue_in<'c>(
        &self,
        transaction: impl Into<InTransaction<'c>>,
        notice: impl Into<Notice>,
    ) -> Result<DispatchReport, DispatchError> {
        let checked = vec![self.check(notice.into())?];
        self.write_in(transaction.into(), checked).await.map(only)
    }

    /// Writes several notices inside the host's own transaction, in one step that locks their windows in one order: two
    /// transactions that name the same windows, in whichever order, wait for each other and do not deadlock.
    ///
    /// The reports are in the order of the notices. Of two that fall into one window the first counts.
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
        let checked = self.check_all(notices)?;
        if checked.is_empty() {
            return Ok(Vec::new());
        }
        self.write_in(transaction.into(), checked).await
    }

    async fn write_in(
        &self,
        transaction: InTransaction<'_>,
        checked: Vec<Checked>,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        match (transaction, self.inner.database.pool()) {
            #[cfg(feature = "postgres")]
            (InTransaction::Postgres(connection), Pool::Postgres(_)) => {
                self.inner.write_within(connection, checked).await
            }
            #[cfg(feature = "sqlite")]
            (InTransaction::Sqlite(connection), Pool::Sqlite(_)) => {
                self.inner.write_within(connection, checked).await
            }
            #[cfg(all(feature = "postgres", feature = "sqlite"))]
            (InTransaction::Postgres(_), _) => Err(self.inner.other_database("Postgres")),
            #[cfg(all(feature = "postgres", feature = "sqlite"))]
            (InTransaction::Sqlite(_), _) => Err(self.inner.other_database("SQLite")),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            (InTransaction::Missing(never), _) => match *never {},
        }
    }

    /// The plan of a notice, with the rule that decided about each channel, and the content. Nothing is written.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::dispatch`].
    pub async fn explain(&self, notice: impl Into<Notice>) -> Result<Explanation, DispatchError> {
        let mut checked = self.check(notice.into())?;
        let (event, payload) = (checked.event, &checked.payload);
        let masked = payload.masked(event.secrets);
        checked.payload = masked.map_err(|reason| invalid_payload(event.event_type, reason))?;
        let checked = vec![checked];
        let planned = each_database!(self.database(), |pool| {
            let held = Held::of(self.database(), pool);
            let held = within(Some(self.database().timeout()), held).await;
            let mut held = held.map_err(StoreError::from)?;
            let bound = self.database().bound();
            let planned = self.inner.plan(held.connection(), checked, bound).await?;
            held.give_back();
            planned
        });
        let Planned {
            checked,
            plan,
            content,
            failures,
        } = only(planned);
        Ok(Explanation {
            event_type: checked.event.event_type,
            category: checked.event.category,
            dedup_key: checked.dedup_key.to_string(),
            window_seconds: checked.event.dedup.window.as_secs_f64(),
            plan,
            content,
            failures,
        })
    }

    /// The settings of one user.
    ///
    /// # Errors
    ///
    /// When the user id is empty, too long or holds a control character.
    pub fn preferences_of(&self, user: &str) -> Result<UserPreferences<'_>, InvalidInput> {
        UserPreferences::new(&self.inner.database, &self.inner.registry, user)
    }

    /// The table `notification_addresses`, the address book unless the host plugged its own.
    #[must_use]
    pub fn addresses(&self) -> AddressTable {
        AddressTable::new(self.database().clone())
    }

    /// Every event and channel of this binary.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The database it writes to.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Steps 1 and 2 of several notices.
    fn check_all(
        &self,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Result<Vec<Checked>, DispatchError> {
        let mut given = HashSet::new();
        let mut all = Vec::new();
        for notice in notices {
            let checked = self.check(notice)?;
            if checked.is_given && !given.insert(checked.dispatch_id) {
                return Err(DispatchError::RepeatedDispatchId(checked.dispatch_id));
            }
            all.push(checked);
        }
        Ok(all)
    }

    /// Steps 1 and 2: look up and validate, before any database.
    fn check(&self, notice: Notice) -> Result<Checked, DispatchError> {
        let (event, payload) = self.look_up(notice.content)?;
        for (field, id) in [
            ("subject_id", &notice.subject_id),
            ("org_id", &notice.org_id),
        ] {
            if let Some(id) = id {
                recipient::check(field, id)?;
            }
        }
        let (given, most) = (notice.recipients.len(), self.inner.limits.max_recipients);
        if given > most {
            return Err(DispatchError::TooManyRecipients { given, most });
        }
        let (recipients, repeated_ids) = recipient::distinct(notice.recipients)?;
        let dedup_key = dedup::key(event, notice.subject_id.as_deref(), &payload);
        Ok(Checked {
            is_given: notice.dispatch_id.is_some(),
            dispatch_id: notice.dispatch_id.unwrap_or_else(Uuid::now_v7),
            event,
            payload,
            dedup_key,
            subject_id: notice.subject_id,
            org_id: notice.org_id,
            recipients,
            repeated_ids,
            trace_context: trace_context::current(),
        })
    }

    fn look_up(
        &self,
        content: NoticeContent,
    ) -> Result<(&'static EventDeclaration, Payload), DispatchError> {
        let event_type: Cow<'static, str> = match &content {
            NoticeContent::Typed { event, .. } => event.event_type.into(),
            NoticeContent::Untyped { event_type, .. } => event_type.clone().into(),
        };
        let Some(event) = self.registry().event(&event_type) else {
            let suggestion = self.registry().suggest(&event_type).map(str::to_owned);
            let event_type = shown(&event_type);
            tracing::warn!(
                target: "campanile",
                event_type,
                "dispatch refused: no such event is registered"
            );
            return Err(DispatchError::RegistryMiss {
                event_type,
                suggestion,
            });
        };
        match content {
            NoticeContent::Typed { payload, .. } => payload,
            NoticeContent::Untyped { payload, .. } => (event.read)(payload),
        }
        .map(|payload| (event, payload))
        .map_err(|reason| invalid_payload(event.event_type, reason))
    }

    /// Steps 3 to 8, in a task of its own, so that a dropped caller never stops between two of them.
    async fn perform(
        &self,
        checked: Vec<Checked>,
        first_attempt: FirstAttempt,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        if checked.iter().all(|checked| checked.recipients.is_empty()) {
            return Ok(checked.iter().map(empty_report).collect());
        }
        let inner = Arc::clone(&self.inner);
        let dispatch_ids: Vec<_> = checked.iter().map(|checked| checked.dispatch_id).collect();
        let span = tracing::info_span!(
            target: "campanile",
            "dispatch",
            event_type = checked[0].event.event_type,
            recipients = checked.iter().map(|checked| checked.recipients.len()).sum::<usize>(),
        );
        let task = async move {
            let lease = inner.lease(match first_attempt {
                FirstAttempt::Here => inner.limits.inline_deliveries,
                FirstAttempt::ByWorker => 0,
            });
            let written = inner.write(checked, lease).await?;
            Ok(inner.deliver_and_report(written).await)
        };
        match tokio::spawn(task.instrument(span)).await {
            Ok(result) => result,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            // It was dropped wherever it was, perhaps while the database was committing.
            Err(_) => Err(DispatchError::CommitUnknown {
                dispatch_ids,
                source: StoreError::interrupted(),
            }),
        }
    }
}

impl Limits {
    /// How long after its claim a share may begin calls: half of an attempt, and no more than a quarter of a minute.
    pub(crate) fn time_to_start(&self) -> Duration {
        (self.attempt_timeout / 2).min(MAX_TIME_TO_START)
    }
}

impl Inner {
    /// How long one call of a channel may take.
    pub(crate) fn call_timeout(&self, channel: &str) -> Duration {
        let own = self.channels[channel].policy.attempt_timeout;
        own.unwrap_or(self.limits.attempt_timeout)
    }

    /// Whether a call of a channel may take longer than anybody waits for it.
    pub(crate) fn has_long_calls(&self, channel: &str) -> bool {
        self.call_timeout(channel) > self.limits.attempt_timeout
    }

    pub(crate) fn lease(&self, at_most: usize) -> Lease {
        Lease {
            at_most,
            time: self.limits.lease,
            worker: self.worker,
            claim: Uuid::now_v7(),
            lock_wait: Some(self.limits.lock_wait),
            // What waits for a lock is being answered.
            answer_within: self
                .database
                .bound()
                .map(|bound| bound.saturating_add(self.limits.lock_wait)),
        }
    }

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn other_database(&self, given: &'static str) -> DispatchError {
        DispatchError::OtherDatabase {
            given,
            expected: self.database.kind(),
        }
    }

    /// Steps 7 and 8.
    async fn deliver_and_report(self: &Arc<Self>, written: Written) -> Vec<DispatchReport> {
        self.commits.ring(&self.database);
        let leased = written.leased(&self.channels);
        if written.has_queued(&self.channels, leased.len()) {
            self.bell.ring(&self.database);
        }
        let outcomes = self.attempt(leased, written.leased_at).await;
        self.report(&written, &outcomes)
    }
}

fn invalid_payload(event_type: &str, reason: PayloadError) -> DispatchError {
    DispatchError::InvalidPayload {
        event_type: event_type.to_owned(),
        reason,
    }
}

fn only<T>(mut one: Vec<T>) -> T {
    one.pop().expect("one notice gives one report")
}
