//! **Forgets** a user: every row that campanile and its linked channels hold of a person, in one transaction.

use sqlx::Connection as _;

use crate::database::{Database, each_database};
use crate::dispatch::Dispatcher;
use crate::error::StoreError;
use crate::recipient::{self, InvalidInput};

/// Why a user was not forgotten. Nothing was erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The user id is empty, too long or holds a control character.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The database refused or did not answer.
    #[error("the user was not forgotten")]
    Store(#[from] StoreError),
}

/// Core's own tables, in an order in which each statement still finds what it needs.
const STATEMENTS: [&str; 7] = [
    // Whoever records an attempt at one of them has done so before this, or finds nothing afterwards.
    "select id from {campanile}notification_deliveries where user_id = $1 order by id {for_update}",
    "delete from {campanile}notification_attempts where delivery_id in \
     (select id from {campanile}notification_deliveries where user_id = $1)",
    // A dispatch to this user alone goes with its content; one to others too is theirs as well.
    "delete from {campanile}notification_dispatches where id in \
     (select dispatch_id from {campanile}notification_deliveries where user_id = $1) \
     and not exists (select 1 from {campanile}notification_deliveries as other \
     where other.dispatch_id = notification_dispatches.id and other.user_id <> $1)",
    "delete from {campanile}notification_deliveries where user_id = $1",
    "delete from {campanile}notification_dedup where recipient_user_id = $1",
    "delete from {campanile}user_notification_preferences where user_id = $1",
    "delete from {campanile}notification_addresses where user_id = $1",
];

impl Dispatcher {
    /// Erases a user everywhere: inbox, preferences, addresses, windows, deliveries and their log, and what the linked
    /// channels hold. Forgetting somebody unknown changes nothing.
    ///
    /// # Errors
    ///
    /// [`ForgetError::InvalidInput`], or [`ForgetError::Store`] when the database does not answer. Nothing was erased then.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own: everything is erased or nothing.
    ///
    /// # Panics
    ///
    /// Never.
    pub async fn forget_user(&self, user: &str) -> Result<(), ForgetError> {
        recipient::check("user_id", user)?;
        let statements: Vec<&'static str> = self
            .inner
            .forget_statements
            .iter()
            .chain(&STATEMENTS)
            .copied()
            .collect();
        let (database, user) = (self.inner.database.clone(), user.to_owned());
        tokio::spawn(async move { erase(&database, &statements, &user).await })
            .await
            .map_err(|_| StoreError::interrupted())?
            .map_err(StoreError::from)?;
        Ok(())
    }
}

async fn erase(database: &Database, statements: &[&str], user: &str) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        let mut connection = pool.acquire().await?;
        let mut transaction = connection.begin_with(database.begin()).await?;
        for statement in statements {
            sqlx::query(database.sql(statement))
                .bind(user)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    })
}
