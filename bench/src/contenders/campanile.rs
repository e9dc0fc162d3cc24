//! Campanile, as a host uses it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use campanile::database::{Pool, each_database};
use campanile::{Database, Dispatcher, Worker};
use campanile_inbox::{Inbox, Page};
use sqlx::Executor as _;

use super::Contender;
use crate::host::{self, Job};
use crate::{Result, seed};

/// Counts are asked for up to this, as the bell does.
const CAP: u32 = 100;

/// How many deliveries its channel takes in one call, unless a work says otherwise.
const BATCH: usize = 100;

pub(crate) struct Campanile {
    dispatcher: Dispatcher,
    /// One for each size of a batch.
    workers: Mutex<HashMap<usize, Dispatcher>>,
}

impl Campanile {
    pub(crate) fn over(database: Database) -> Result<Self> {
        Ok(Self {
            dispatcher: host::dispatcher(database, BATCH)?,
            workers: Mutex::default(),
        })
    }

    fn database(&self) -> &Database {
        self.dispatcher.database()
    }

    fn inbox(&self, user: &str) -> Result<Inbox> {
        Ok(Inbox::for_user(self.database(), user)?)
    }

    fn worker(&self, batch: usize) -> Result<Dispatcher> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = workers.get(&batch) {
            return Ok(worker.clone());
        }
        let worker = host::dispatcher(self.database().clone(), batch)?;
        workers.insert(batch, worker.clone());
        Ok(worker)
    }
}

/// The row that a host writes in the same transaction, with what the job writes.
macro_rules! in_transaction {
    ($self:ident, $pool:ident, $begin:literal, $job:ident) => {{
        let mut transaction = $pool.begin_with($begin).await?;
        let insert = sqlx::query("insert into bench_invoices (number, amount) values ($1, $2)");
        let insert = insert.bind(&$job.subject).bind("1,200 EUR");
        transaction.execute(insert).await?;
        let report = $self.dispatcher.enqueue_in(&mut transaction, $job.notice());
        drop(report.await?);
        transaction.commit().await?;
    }};
}

#[async_trait]
impl Contender for Campanile {
    async fn enqueue(&self, job: &Job) -> Result<()> {
        drop(self.dispatcher.enqueue(job.notice()).await?);
        Ok(())
    }

    async fn dispatch(&self, job: &Job) -> Result<()> {
        drop(self.dispatcher.dispatch(job.notice()).await?);
        Ok(())
    }

    async fn enqueue_in(&self, job: &Job) -> Result<()> {
        match self.database().pool() {
            Pool::Postgres(pool) => in_transaction!(self, pool, "BEGIN", job),
            Pool::Sqlite(pool) => in_transaction!(self, pool, "BEGIN IMMEDIATE", job),
        }
        Ok(())
    }

    async fn deliver(&self, batch: usize) -> Result<usize> {
        let attempted = self.worker(batch)?.deliver_due(batch).await?;
        Ok(attempted.claimed)
    }

    async fn drain(&self, tasks: usize, batch: usize) -> Result<()> {
        let worker = Worker::new(self.worker(batch)?).tasks(tasks).prune(None);
        let (mut ended, database) = (Ok(()), self.database());
        let until_drained = async {
            loop {
                match seed::left(database).await {
                    Ok(0) => break,
                    Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(error) => {
                        ended = Err(error);
                        break;
                    }
                }
            }
        };
        worker.run(until_drained).await;
        ended
    }

    async fn feed(&self, user: &str) -> Result<usize> {
        let feed = self.inbox(user)?.feed(Page::default()).await?;
        Ok(feed.items.len())
    }

    async fn counts(&self, user: &str) -> Result<()> {
        self.inbox(user)?.counts_up_to(CAP).await?;
        Ok(())
    }

    async fn mark_all(&self, user: &str) -> Result<()> {
        let inbox = self.inbox(user)?;
        let one = Page {
            limit: 1,
            ..Page::default()
        };
        let feed = inbox.feed(one).await?;
        inbox.mark_all_read(&feed.as_of, &[]).await?;
        Ok(())
    }

    async fn open_bell(&self, user: &str) -> Result<()> {
        let inbox = self.inbox(user)?;
        inbox.counts_up_to(CAP).await?;
        let feed = inbox.feed(Page::default()).await?;
        inbox.mark_all_seen(&feed.as_of, &[]).await?;
        Ok(())
    }

    async fn close(&self) {
        each_database!(self.database(), |pool| pool.close().await);
    }
}
