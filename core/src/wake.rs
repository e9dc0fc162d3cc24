//! **Wakes** workers when something is queued, so that they need not wait for their next look.
//!
//! In this process at once; in others, on Postgres, by `NOTIFY` if the host asks for it: on a connection of its own, after the
//! commit, and at most ten times a second, because a notification takes a lock of the whole database. What is missed is found
//! by polling, which is always there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "postgres")]
use std::time::Duration;

use tokio::sync::Notify;

use crate::database::Database;
#[cfg(feature = "postgres")]
use crate::database::Pool;

/// How workers in other processes hear of what is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WakeUp {
    /// By looking, at every poll interval.
    #[default]
    Polling,
    /// On Postgres also by `LISTEN` and `NOTIFY`. Each worker keeps one more connection. Not behind a `PgBouncer` in transaction
    /// mode: nothing arrives there, and what was meant for the worker may surprise another client of the same backend.
    Notify,
}

/// The least time between two notifications of one process.
#[cfg(feature = "postgres")]
const INTERVAL: Duration = Duration::from_millis(100);

/// What the notifications are called.
#[cfg(feature = "postgres")]
const TOPIC: &str = "campanile_deliveries";

/// The bell of one process.
pub(crate) struct Bell {
    rung: Notify,
    how: WakeUp,
    /// Whether others are to be told of something.
    to_tell: AtomicBool,
    /// Whether a task tells them.
    #[cfg(feature = "postgres")]
    telling: AtomicBool,
}

impl Bell {
    pub(crate) fn new(how: WakeUp) -> Self {
        Self {
            rung: Notify::new(),
            how,
            to_tell: AtomicBool::new(false),
            #[cfg(feature = "postgres")]
            telling: AtomicBool::new(false),
        }
    }

    /// Ready when something is queued after this was called.
    pub(crate) fn heard(&self) -> tokio::sync::futures::Notified<'_> {
        self.rung.notified()
    }

    /// Something was committed that a worker has to deliver.
    pub(crate) fn ring(self: &Arc<Self>, database: &Database) {
        self.rung.notify_waiters();
        if self.how == WakeUp::Polling {
            return;
        }
        self.to_tell.store(true, Ordering::Release);
        #[cfg(feature = "postgres")]
        if let Pool::Postgres(pool) = database.pool()
            && !self.telling.swap(true, Ordering::AcqRel)
        {
            tokio::spawn(Arc::clone(self).tell(pool.clone()));
        }
        #[cfg(not(feature = "postgres"))]
        let _ = database;
    }

    /// Tells other processes, now and again after each interval in which something more was queued.
    #[cfg(feature = "postgres")]
    async fn tell(self: Arc<Self>, pool: sqlx::PgPool) {
        loop {
            while self.to_tell.swap(false, Ordering::AcqRel) {
                let notified = sqlx::query("select pg_notify($1, '')")
                    .bind(TOPIC)
                    .execute(&pool);
                if let Err(error) = notified.await {
                    tracing::debug!(target: "campanile", %error, "workers elsewhere were not woken; they will look");
                }
                tokio::time::sleep(INTERVAL).await;
            }
            self.telling.store(false, Ordering::Release);
            // Somebody may have rung after the last look, and seen a task that was about to end.
            if !self.to_tell.load(Ordering::Acquire) || self.telling.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }

    /// Passes on what other processes ring, until it is dropped. Without `LISTEN` it waits forever.
    pub(crate) async fn listen(&self, database: &Database) {
        #[cfg(feature = "postgres")]
        if let (WakeUp::Notify, Pool::Postgres(pool)) = (self.how, database.pool()) {
            loop {
                let Err(error) = self.pass_on(pool).await;
                tracing::warn!(
                    target: "campanile",
                    error = &error as &dyn std::error::Error,
                    "the worker does not hear of what is queued elsewhere; it looks, and listens again"
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
        listener.listen(TOPIC).await?;
        loop {
            // At first, and after a connection that was lost (`None`), something may have been missed.
            self.rung.notify_waiters();
            listener.try_recv().await?;
        }
    }
}
