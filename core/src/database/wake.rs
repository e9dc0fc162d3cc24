//! **Wakes** the readers of what is written, so that they need not wait for their next poll: workers when something is queued,
//! and live views when something is committed.
//!
//! Readers in this process are woken at once; those in others, on Postgres, by `NOTIFY` if the host enables it: on a separate
//! connection, after the commit, in bounded time, and at most ten times a second, because a notification takes a database-wide
//! lock. The workers of other processes do not all start at the same moment: each process waits a random delay, and wakes its
//! workers at most twice a second. Polling always runs, and finds what was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "postgres")]
use std::time::Duration;

#[cfg(feature = "postgres")]
use rand::RngExt as _;
use tokio::sync::watch;
#[cfg(feature = "postgres")]
use tokio::time::Instant;

use crate::database::Database;
#[cfg(feature = "postgres")]
use crate::database::{Pool, each_connection, statement};

/// How other processes are notified: their workers of queued deliveries, and their live views of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WakeUp {
    /// By polling, at every poll interval.
    #[default]
    Polling,
    /// On Postgres also by `LISTEN` and `NOTIFY`: within a quarter of a second when nothing was queued before, and at most twice
    /// a second, so that a fleet is not woken at once. Each listening process keeps one more connection. Do not use it behind a
    /// `PgBouncer` in transaction mode: no notification arrives there, and another client of the same backend may receive
    /// notifications that it does not expect.
    Notify,
}

/// The minimum time between two notifications from one process.
#[cfg(feature = "postgres")]
const INTERVAL: Duration = Duration::from_millis(100);

/// The maximum delay between a notification from another process and the wake-up of this process's workers.
#[cfg(feature = "postgres")]
const SPREAD: Duration = Duration::from_millis(250);

/// The minimum time between two wake-ups of this process's workers by other processes.
#[cfg(feature = "postgres")]
const CALM: Duration = Duration::from_millis(500);

/// Deliveries were queued. One process is enough to deliver them.
pub(crate) const DELIVERIES: &str = "campanile_deliveries";

/// A transaction was committed. Every process shows it.
pub(crate) const COMMITS: &str = "campanile_commits";

#[cfg(feature = "postgres")]
statement! { on Postgres; NOTIFY = "select pg_notify($1, '')" }

/// A signal to the tasks that wait for new writes, in this process and, if enabled, in others.
pub(crate) struct Signal {
    /// The channel name of its notifications.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(unused, reason = "only Postgres has notifications")
    )]
    topic: &'static str,
    sender: watch::Sender<()>,
    how: WakeUp,
    /// Whether other processes still have to be notified.
    is_due: AtomicBool,
    /// Whether a task is notifying them.
    #[cfg(feature = "postgres")]
    is_notifying: AtomicBool,
}

impl Signal {
    pub(crate) fn new(topic: &'static str, how: WakeUp) -> Self {
        Self {
            topic,
            sender: watch::Sender::new(()),
            how,
            is_due: AtomicBool::new(false),
            #[cfg(feature = "postgres")]
            is_notifying: AtomicBool::new(false),
        }
    }

    /// Receives every signal that is sent from now on; several pending signals are received as one.
    pub(crate) fn receiver(&self) -> watch::Receiver<()> {
        self.sender.subscribe()
    }

    /// Signals this process and, by `NOTIFY`, others.
    pub(crate) fn send(self: &Arc<Self>, database: &Database) {
        self.sender.send_replace(());
        if self.how == WakeUp::Polling {
            return;
        }
        self.is_due.store(true, Ordering::Release);
        #[cfg(feature = "postgres")]
        if matches!(database.pool(), Pool::Postgres(_))
            && !self.is_notifying.swap(true, Ordering::AcqRel)
        {
            tokio::spawn(Arc::clone(self).notify(database.clone()));
        }
        #[cfg(not(feature = "postgres"))]
        let _ = database;
    }

    /// Notifies other processes, now and after each interval in which more was written.
    #[cfg(feature = "postgres")]
    async fn notify(self: Arc<Self>, database: Database) {
        loop {
            while self.is_due.swap(false, Ordering::AcqRel) {
                let notified: Result<(), sqlx::Error> = each_connection!(&database, |connection| {
                    let notify = sqlx::query(NOTIFY.on_postgres()).bind(self.topic);
                    notify.execute(&mut *connection).await.map(drop)
                });
                if let Err(error) = notified {
                    tracing::debug!(target: "campanile", topic = self.topic, %error, "other processes were not notified; they poll");
                }
                tokio::time::sleep(INTERVAL).await;
            }
            self.is_notifying.store(false, Ordering::Release);
            // A signal may have been sent after the last check, while this task was about to end.
            if !self.is_due.load(Ordering::Acquire)
                || self.is_notifying.swap(true, Ordering::AcqRel)
            {
                return;
            }
        }
    }

    /// Forwards the signals of other processes until it is dropped. Without `LISTEN` it waits forever.
    pub(crate) async fn listen(&self, database: &Database) {
        #[cfg(feature = "postgres")]
        if let (WakeUp::Notify, Pool::Postgres(pool)) = (self.how, database.pool()) {
            loop {
                let Err(error) = self.pass_on(pool).await;
                tracing::warn!(
                    target: "campanile",
                    topic = self.topic,
                    error = &error as &dyn std::error::Error,
                    "cannot listen for what other processes write; polling instead, and listening again"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        let _ = database;
        std::future::pending::<()>().await;
    }

    #[cfg(feature = "postgres")]
    async fn pass_on(&self, pool: &sqlx::PgPool) -> Result<std::convert::Infallible, sqlx::Error> {
        // A separate connection: one from the pool would be permanently unavailable to it.
        let own = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with((*pool.connect_options()).clone())
            .await?;
        let mut listener = sqlx::postgres::PgListener::connect_with(&own).await?;
        listener.listen(self.topic).await?;
        loop {
            // At the start, and after a lost connection (`None`), a notification may have been missed.
            self.sender.send_replace(());
            let rung = Instant::now();
            listener.try_recv().await?;
            if self.topic == DELIVERIES {
                let spread = rand::rng().random_range(Duration::ZERO..=SPREAD);
                hear_out(&mut listener, (rung + CALM).max(Instant::now() + spread)).await?;
            }
        }
    }
}

/// Waits until then, and discards the notifications that arrive meanwhile.
#[cfg(feature = "postgres")]
async fn hear_out(
    listener: &mut sqlx::postgres::PgListener,
    until: Instant,
) -> Result<(), sqlx::Error> {
    loop {
        match tokio::time::timeout_at(until, listener.try_recv()).await {
            Ok(heard) => drop(heard?),
            Err(_) => return Ok(()),
        }
    }
}
