//! The input for building a channel: its settings, the environment, the database, the address book.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use crate::channel::address::AddressBook;
use crate::channel::erasure::ErasureKey;
use crate::database::Database;

/// The input from which a channel is built, once, at start-up.
///
/// Settings are given in code (`Dispatcher::builder().with(EmailSettings { .. })`) or in environment variables.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) database: &'a Database,
    pub(crate) address_book: &'a Arc<dyn AddressBook>,
    pub(crate) erasure_key: Option<&'a ErasureKey>,
}

impl<'a> Setup<'a> {
    /// The settings the host gave in code, if it gave any of this type.
    #[must_use]
    pub fn settings<T: Any + Send + Sync>(&self) -> Option<&'a T> {
        self.settings
            .0
            .get(&TypeId::of::<T>())
            .and_then(|settings| settings.downcast_ref())
    }

    /// An environment variable; empty counts as not set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    /// The database the dispatcher writes to.
    #[must_use]
    pub fn database(&self) -> &'a Database {
        self.database
    }

    /// The source of addresses; a channel reports dead ones to it.
    #[must_use]
    pub fn address_book(&self) -> Arc<dyn AddressBook> {
        Arc::clone(self.address_book)
    }

    /// The key under which hashes of erased addresses are kept, if the host gave one.
    #[must_use]
    pub fn erasure_key(&self) -> Option<&'a ErasureKey> {
        self.erasure_key
    }
}

impl std::fmt::Debug for Setup<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setup(..)")
    }
}

/// Settings by type.
#[derive(Default)]
pub(crate) struct Settings(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl Settings {
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, settings: T) {
        self.0.insert(TypeId::of::<T>(), Box::new(settings));
    }
}

/// Why a channel cannot be built: what is missing or wrong, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

impl SetupError {
    /// An error with a message that says what to do; the message must not contain a secret.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// A setting that was given neither in code nor by its environment variable.
    #[must_use]
    pub fn missing(setting: &str, code: &str, variable: &str) -> Self {
        Self(format!(
            "{setting} is not set: give it in code, `{code}`, or in the environment variable `{variable}`"
        ))
    }
}
