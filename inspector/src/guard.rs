//! A **guard** against the wrong database: the inspector fires events, ends windows and changes everybody's preferences, so it
//! does not start on a database with notifications of another app.

use campanile::database::each_connection;
use campanile::sqlx;
use campanile::{Database, StoreError};

use crate::people::{ADA, DOMAIN};

/// What to do on a database with rows of another app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForeignRows {
    /// Refuse to start.
    #[default]
    Refused,
    /// Start anyway.
    Accepted,
}

/// The tables in which an app that uses campanile has rows.
const TABLES: [&str; 5] = [
    "notifications",
    "notification_dedup",
    "notification_dispatches",
    "notification_addresses",
    "user_notification_preferences",
];

/// Whether the database holds rows of another app: a mail address outside of the tour's domain, or any rows without the address
/// that every start of the inspector adds. The user id alone is not enough, because a host may have an Ada too.
///
/// Without tables there are no rows. Call it before migrations run.
///
/// # Errors
///
/// When the database does not answer or refuses the query, so that it is not known whose rows it holds.
pub(crate) async fn is_foreign(database: &Database) -> Result<bool, StoreError> {
    let strangers =
        format!("notification_addresses where channel = 'email' and address not like '%{DOMAIN}'");
    if holds(database, &strangers).await? {
        return Ok(true);
    }
    let ours = format!(
        "notification_addresses where user_id = '{}' and address = '{}'",
        ADA.id, ADA.email
    );
    if holds(database, &ours).await? {
        return Ok(false);
    }
    for table in TABLES {
        if holds(database, table).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn holds(database: &Database, rows: &str) -> Result<bool, StoreError> {
    let statement = database.sql(&format!("select 1 from {{campanile}}{rows} limit 1"));
    let held: Result<bool, sqlx::Error> = each_connection!(database, |connection| {
        let row = sqlx::query(statement).fetch_optional(&mut *connection);
        match row.await {
            Ok(row) => Ok(row.is_some()),
            Err(error) if campanile_migrations::is_missing_table(&error) => Ok(false),
            Err(error) => Err(error),
        }
    });
    Ok(held?)
}
