//! **Dispatch**: a notice to its report, in eight steps.
//!
//! Look up, validate, read preferences once, plan, render once, write once, deliver, report. This room knows no channel by
//! name and no channel's table.

pub(crate) mod write;
pub(crate) mod complete;
pub(crate) mod account;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::database::connection::within;
use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::database::transaction::InTransaction;
use crate::database::wake::Signal;
use crate::database::{Held, Pool, each_database};
use crate::deliver::{Deliverer, first};
use crate::dispatch::account::empty_report;
use crate::dispatch::write::{Writer, Written};
use crate::error::DispatchError;
use crate::event::notice::Notice;
use crate::limits::Limits;
use crate::observe::trace_context;
use crate::plan::Plan;
use crate::plan::check::{Checked, invalid_payload};
use crate::plan::planner::Planned;
use crate::plan::render::{Content, Failures};
use crate::report::{DispatchReport, Outcome};

/// What a dispatch would do: the same plan, nothing written.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Explanation {
    /// The event's type; the alias is resolved.
    pub event_type: &'static str,
    /// The category, which a user mutes as a whole.
    pub category: &'static str,
    /// The dedup key: inside the window, another dispatch with this key is a repeat.
    pub dedup_key: String,
    /// The window; zero means that nothing is a repeat.
    pub window_seconds: f64,
    /// Every recipient, and each channel with the rule that decided.
    #[serde(flatten)]
    pub plan: Plan,
    /// The content of each channel that is planned for at least one recipient. Secret fields are masked.
    pub content: Content,
    /// The planned channels on which nothing would be sent, because a part cannot be rendered, with the reason.
    pub failures: Failures,
}

/// Who makes the first attempt of the remote deliveries.
#[derive(Clone, Copy)]
pub(crate) enum FirstAttempt {
    /// This call, for as many as the limit allows.
    Here,
    /// A worker.
    ByWorker,
}

impl FirstAttempt {
    /// How many deliveries this call attempts itself.
    const fn at_most(self, limits: &Limits) -> usize {
        match self {
            Self::Here => limits.inline_deliveries,
            Self::ByWorker => 0,
        }
    }
}

/// What the steps of a dispatch need.
pub(crate) struct Steps {
    pub(crate) writer: Writer,
    pub(crate) deliverer: Arc<Deliverer>,
    /// Signals commits.
    pub(crate) commits: Arc<Signal>,
}

impl Steps {
    /// Steps 1 and 2: look up and validate, before any use of the database.
    pub(crate) fn check(&self, notice: Notice) -> Result<Checked, DispatchError> {
        let trace_context = trace_context::current();
        self.writer.planner.check(notice, trace_context.as_deref())
    }

    /// Steps 1 and 2 of several notices.
    pub(crate) fn check_all(
        &self,
        notices: impl IntoIterator<Item = Notice>,
    ) -> Result<Vec<Checked>, DispatchError> {
        let trace_context = trace_context::current();
        self.writer
            .planner
            .check_all(notices, trace_context.as_deref())
    }

    /// Steps 3 to 8, in a task of its own: they run to the end even if the caller's future is dropped.
    pub(crate) async fn perform(
        self: &Arc<Self>,
        checked: Vec<Checked>,
        first_attempt: FirstAttempt,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        if checked.iter().all(|checked| checked.recipients.is_empty()) {
            return Ok(checked.iter().map(empty_report).collect());
        }
        let steps = Arc::clone(self);
        let dispatch_ids: Vec<_> = checked.iter().map(|checked| checked.dispatch_id).collect();
        let span = tracing::info_span!(
            target: "campanile",
            "dispatch",
            event_type = checked[0].event.event_type,
            recipients = checked.iter().map(|checked| checked.recipients.len()).sum::<usize>(),
        );
        let task = async move {
            let writer = &steps.writer;
            let lease = writer.lease(first_attempt.at_most(&writer.limits));
            let written = writer.write(checked, lease).await?;
            let outcomes = steps.deliver(&written).await;
            Ok(writer.report(&written, &outcomes))
        };
        // A task that was stopped may have been waiting for its commit.
        run_to_end(task.instrument(span))
            .await
            .unwrap_or_else(|source| {
                Err(DispatchError::CommitUnknown {
                    dispatch_ids,
                    source,
                })
            })
    }

    /// Step 7: tries what was leased, and wakes workers for the rest.
    async fn deliver(&self, written: &Written) -> HashMap<Uuid, Outcome> {
        let Writer {
            database, channels, ..
        } = &self.writer;
        self.commits.send(database);
        let leased = written.leased(channels);
        if written.has_queued(channels, leased.len()) {
            self.deliverer.queued.send(database);
        }
        first::attempt(&self.deliverer, leased, written.leased_at).await
    }

    /// Steps 3 to 6 inside the host's transaction, and 8.
    pub(crate) async fn write_in(
        &self,
        transaction: InTransaction<'_>,
        checked: Vec<Checked>,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        match (transaction, self.writer.database.pool()) {
            #[cfg(feature = "postgres")]
            (InTransaction::Postgres(connection), Pool::Postgres(_)) => {
                self.writer.write_within(connection, checked).await
            }
            #[cfg(feature = "sqlite")]
            (InTransaction::Sqlite(connection), Pool::Sqlite(_)) => {
                self.writer.write_within(connection, checked).await
            }
            #[cfg(all(feature = "postgres", feature = "sqlite"))]
            (InTransaction::Postgres(_), _) => Err(self.other_database("Postgres")),
            #[cfg(all(feature = "postgres", feature = "sqlite"))]
            (InTransaction::Sqlite(_), _) => Err(self.other_database("SQLite")),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            (InTransaction::Missing(never), _) => match *never {},
        }
    }

    /// Steps 1 to 5, and nothing written.
    pub(crate) async fn explain(&self, notice: Notice) -> Result<Explanation, DispatchError> {
        let mut checked = self.check(notice)?;
        let (event, payload) = (checked.event, &checked.payload);
        let masked = payload.masked(event.secrets);
        checked.payload = masked.map_err(|reason| invalid_payload(event.event_type, reason))?;
        let checked = vec![checked];
        let database = &self.writer.database;
        let choices = each_database!(database, |pool| {
            let held = Held::of(database, pool);
            let held = within(Some(database.timeout()), held).await;
            let mut held = held.map_err(StoreError::from)?;
            let read = self
                .writer
                .read_preferences(held.connection(), &checked, database.bound());
            let choices = read.await?;
            held.give_back();
            choices
        });
        let planned = self.writer.plan_and_render(checked, &choices).await;
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

    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn other_database(&self, given: &'static str) -> DispatchError {
        DispatchError::OtherDatabase {
            given,
            expected: self.writer.database.kind(),
        }
    }
}

/// The only element.
pub(crate) fn only<T>(mut one: Vec<T>) -> T {
    one.pop().expect("one notice gives one report")
}
