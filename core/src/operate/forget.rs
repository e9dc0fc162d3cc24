//! **Forgets** a user: every row that campanile and its channels hold of a person, in one transaction.
//!
//! The tables of campanile's migrations are erased whether or not their channels are linked; a channel erases tables of its own
//! by [`Channel::forget`](crate::channel::Channel::forget).

use std::collections::BTreeSet;
use std::time::Duration;

use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::event::recipient::{self, InvalidInput};
use crate::operate::Operations;
use crate::store::forget::Erasure;

pub use crate::store::forget::Forgotten;

/// How often the erasure is retried after a conflict with another transaction.
const MAX_TRIES: u32 = 5;

/// The pause between tries, times the number of tries.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Why a user was not forgotten. Nothing was erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The user id is empty, too long or holds a control character.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The host's address book failed. Channels may hold rows under the user's addresses, so nothing was erased.
    #[error(
        "the user was not forgotten: the address book did not answer for the channel `{channel}`"
    )]
    AddressBook {
        /// The channel it was asked about.
        channel: &'static str,
        /// What it said.
        reason: String,
    },
    /// The database refused or did not answer.
    #[error("the user was not forgotten")]
    Store(#[from] StoreError),
}

impl Operations {
    /// Erases a user everywhere: inbox, preferences, addresses, suppressed addresses, windows, deliveries and their log, and what
    /// the linked channels hold. Forgetting somebody unknown changes nothing.
    ///
    /// The tables of campanile's own channels are erased in any binary. If the host has an address book of its own, forget the user
    /// here before you remove the addresses there: rows that are stored by address are found by the book's addresses, unless a
    /// delivery to the user put them there. A dispatch to the user that runs meanwhile or afterwards leaves rows as any other.
    ///
    /// # Errors
    ///
    /// [`ForgetError::InvalidInput`], [`ForgetError::AddressBook`], or [`ForgetError::Store`] when the database does not answer.
    /// Nothing was erased then, unless the answer to the commit was lost; forgetting a user again is harmless. Each statement is
    /// bounded by [`Database::statement_timeout`](crate::Database::statement_timeout), and a conflict is retried five times. The one that
    /// finds the user's deliveries reads the whole table on Postgres, and may take thirty times as long.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it runs in a task of its own: everything is erased or nothing.
    pub async fn forget_user(&self, user: &str) -> Result<Forgotten, ForgetError> {
        recipient::check("user_id", user)?;
        let (dispatcher, user) = (self.clone(), user.to_owned());
        run_to_end(async move { dispatcher.forget(&user).await }).await?
    }

    async fn forget(&self, user: &str) -> Result<Forgotten, ForgetError> {
        let mut addresses = self.addresses_in_book(user).await?;
        let erasure = Erasure {
            database: self.database(),
            statements: &self.forget_statements,
            key: self.erasure_key.as_ref(),
        };
        let mut tries = 1;
        loop {
            let error = match erasure.erase(user, &mut addresses).await {
                Ok(forgotten) => return Ok(forgotten),
                Err(error) => error,
            };
            if !error.is_transient() || tries == MAX_TRIES {
                return Err(error.into());
            }
            tokio::time::sleep(RETRY_DELAY * tries).await;
            tries += 1;
        }
    }

    /// The user's present addresses in the address book, which may be the host's.
    async fn addresses_in_book(&self, user: &str) -> Result<BTreeSet<String>, ForgetError> {
        let users = [user.to_owned()];
        let mut all = BTreeSet::new();
        for channel in self.deliverer.channels.keys() {
            let book = self.deliverer.address_book.addresses(channel, &users);
            let answer = tokio::time::timeout(self.deliverer.limits.attempt_timeout, book).await;
            let refused = |reason: String| ForgetError::AddressBook { channel, reason };
            let found = answer
                .map_err(|_| refused("no answer in time".to_owned()))?
                .map_err(|error| refused(error.to_string()))?;
            all.extend(found.into_values().flatten());
        }
        Ok(all)
    }
}
