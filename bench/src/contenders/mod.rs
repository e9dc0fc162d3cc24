//! The **contenders**: they do the same on the same tables.
//!
//! * [`limit`] is the raw limit: the plain statements that write the rows, one for each table, sent without waiting for the one
//!   before. It reads nothing first: it gets the list of admitted recipients.
//! * [`by_hand`] is the loop that an application has without a library: for each recipient it reads preferences, claims the window, and
//!   inserts the item and the delivery.
//! * [`campanile`] is campanile.
//!
//! All SQL of a contender on one database stands in one file, but for what two of them have in common in [`sqlite`].

pub(crate) mod limit;
pub(crate) mod by_hand;
pub(crate) mod campanile;
pub(crate) mod sqlite;

use ::campanile::Database;
use ::campanile::database::each_database;
use async_trait::async_trait;

use crate::Result;
use crate::host::Job;
use crate::options::Kind;
use crate::seed;
use crate::stage::Place;

pub(crate) const LIMIT: &str = "limit";
pub(crate) const BY_HAND: &str = "by hand";
pub(crate) const CAMPANILE: &str = "campanile";

/// All of them.
pub(crate) const ALL: [&str; 3] = [LIMIT, BY_HAND, CAMPANILE];

/// The table of the host's own, for a dispatch in its transaction.
const HOST_TABLE: &str =
    "create table if not exists bench_invoices (number text primary key, amount text not null)";

/// One contender over one database.
#[async_trait]
pub(crate) trait Contender: Send + Sync {
    /// Commits what a job writes, and leaves the remote deliveries to a worker.
    async fn enqueue(&self, job: &Job) -> Result<()>;

    /// The same, and makes the first attempt of each remote delivery.
    async fn dispatch(&self, job: &Job) -> Result<()>;

    /// Writes a row of the host's, and what the job writes, in one transaction.
    async fn enqueue_in(&self, job: &Job) -> Result<()>;

    /// One round of a worker: claims at most so many deliveries, sends them and records it. How many there were.
    async fn deliver(&self, batch: usize) -> Result<usize>;

    /// Delivers until nothing is left, with so many tasks.
    async fn drain(&self, tasks: usize, batch: usize) -> Result<()> {
        let tasks = (0..tasks).map(async |_| {
            while self.deliver(batch).await? > 0 {}
            Ok(())
        });
        futures_util::future::try_join_all(tasks).await.map(drop)
    }

    /// The first page of an inbox; how many items are on it.
    async fn feed(&self, user: &str) -> Result<usize>;

    /// How many items are unread, unseen and there at all.
    async fn counts(&self, user: &str) -> Result<()>;

    /// Marks everything as read.
    async fn mark_all(&self, user: &str) -> Result<()>;

    /// What the bell does when it is opened: counts, the first page, and everything on it is seen.
    async fn open_bell(&self, user: &str) -> Result<()>;

    /// Closes its connections, so that its database can be removed.
    async fn close(&self);
}

/// The contender of this name.
pub(crate) async fn open(name: &str, place: &Place) -> Result<Box<dyn Contender>> {
    let database = place.open().await?;
    seed::execute(&database, HOST_TABLE).await?;
    Ok(match (name, place.kind) {
        (CAMPANILE, _) => Box::new(campanile::Campanile::over(database)?),
        (BY_HAND, Kind::Postgres) => Box::new(by_hand::postgres::ByHand::over(database)?),
        (BY_HAND, Kind::Sqlite) => Box::new(by_hand::sqlite::ByHand::over(database)?),
        (LIMIT, Kind::Postgres) => {
            close(&database).await;
            Box::new(limit::postgres::Limit::at(place))
        }
        (LIMIT, Kind::Sqlite) => {
            close(&database).await;
            Box::new(limit::sqlite::Limit::open(place).await?)
        }
        _ => return Err(format!("there is no contender `{name}`").into()),
    })
}

async fn close(database: &Database) {
    each_database!(database, |pool| pool.close().await);
}
