//! The raw **limit**: one plain `insert` for each table, with all rows of it, sent without waiting for the answer to the one before.
//! It checks nothing and reads nothing that it does not need, so no application could be written like this.
//!
//! On Postgres it uses tokio-postgres, because sqlx sends one statement at a time. On SQLite there is nothing to wait for but the
//! file, and it is the same statements one after the other, on one connection, so that nobody polls for the lock.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use uuid::Uuid;

use crate::host::{Content, Job};

/// The rows of a job: what is in each column of its own.
struct Rows {
    dispatch: Uuid,
    users: Vec<String>,
    notifications: Vec<Uuid>,
    deliveries: Vec<Uuid>,
    content: Content,
}

impl Rows {
    fn of(job: &Job) -> Self {
        let ids = || job.admitted.iter().map(|_| Uuid::now_v7()).collect();
        Self {
            dispatch: Uuid::now_v7(),
            users: job.admitted.clone(),
            notifications: ids(),
            deliveries: ids(),
            content: job.content(),
        }
    }
}
