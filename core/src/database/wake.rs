//! **Wakes** who looks at what is written, so that they need not wait for their next look: workers when something is queued, and
//! those who show it when something is committed.
//!
//! In this process at once; in others, on Postgres, by `NOTIFY` if the host asks for it: on a connection of its own, after the
//! commit, in bounded time, and at most ten times a second, because a notification takes a lock of the whole database. Workers of
//! other processes do not all begin in the same moment: each process waits a random while, and wakes twice a second at the most.
//! What is missed is found by polling, which is always there.

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

/// How workers in other processes hear of what is queued, and those who show what is written of what is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WakeUp {
    /// By looking, at every poll interval.
    #[default]
    Polling,
    /// On Postgres also by `LISTEN` and `NOTIFY`: within a quarter of a second when nothing was queued before, and at most twice a
    /// second, so that a fleet is not woken at once. Whoever listens keeps one more connection. Not behind a `PgBouncer` in transaction
    /// mode: nothing arrives there, and what was meant for the worker may surprise another client of the same backend.
    Notify,
}

/// The least time between two notifications of one process.
#[cfg(feature = "postgres")]
const INTERVAL: Duration = Duration::from_millis(100);

/// The longest pause between a notification of another process and the workers of this one.
#[cfg(feature = "postgres")]
const SPREAD: Duration = Duration::from_millis(250);

/// The least time between two times at which other processes wake the workers of this one.
#[cfg(feature = "postgres")]
const CALM: Duration = Duration::from_millis(500);

/// Something was queued. One process is enough to deliver it.
pub(crate) const DELIVERIES: &str = "campanile_deliveries";

/// Something was committed. Every process shows it.
pub(crate) const COMMITS: &str = "campanile_commits";

#[cfg(feature = "postgres")]
statement! { on Postgres; NOTIFY = "select pg_notify($1, '')" }

/// A signal of one process to whoever waits for what was written, in this process and, if they are to hear, in others.
pub(crate) struct Signal {
    /// What its notifications are called.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(unused, reason = "only Postgres has notifications")
    )]
    topic: &'static str,
    sender: watch::Sender<()>,
    how: WakeUp,
    /// Whether other processes have yet to be notified.
    is_due: AtomicBool,
    /// Whether a task notifies them.
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

    /// Receives every signal that is sent from now on; several at once are received as one.
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
            // A signal may have been sent after the last check, and have seen a task that was about to end.
            if !self.is_due.load(Ordering::Acquire)
                || self.is_notifying.swap(true, Ordering::AcqRel)
            {
                return;
            }
        }
    }

    /// Forwards the signals of other processes, until it is dropped. Without `LISTEN` it waits forever.
    pub(crate) async fn listen(&self, database: &Database) {
        #[cfg(feature = "postgres")]
        if let (WakeUp::Notify, Pool::Postgres(pool)) = (self.how, database.pool()) {
            loop {
                let Err(error) = self.pass_on(pool).await;
                tracing::warn!(
                    target: "campanile",
                    topic = self.topic,
                    error = &error as &dyn std::error::Error,
                    "other processes are not heard; this one polls, and listens again"
                );
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        let _ = database;
        std::future::pending::<()>().await;
    }

    #[cfg(feature = "postgres")]
    async fn pass_on(&self, pool: &sqlx::PgPool) -> Result<std::convert::Infallible, sqlx::Error> {
        // A connection of its own: one of the pool's would be missing there for good.
        let own = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with((*pool.connect_options()).clone())
            .await?;
        let mut listener = sqlx::postgres::PgListener::connect_with(&own).await?;
        listener.listen(self.topic).await?;
        loop {
            // At first, and after a connection that was lost (`None`), something may have been missed.
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

/// Waits until then, and takes what is heard meanwhile for the same.
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
