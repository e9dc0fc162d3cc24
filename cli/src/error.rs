//! Why a **command** failed, with messages that say what to do.

use std::error::Error;
use std::io;

use campanile::operate::DeliveryChangeError;
use campanile::operate::ForgetError;
use campanile::operate::PauseError;
use campanile::{DispatchError, RegistryError, StoreError};
use uuid::Uuid;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The dispatcher cannot be built; all its problems at once.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Campanile's tables are missing or older than this binary.
    #[error("{0}")]
    NotMigrated(String),
    /// A payload or request that cannot be read.
    #[error("{0}")]
    Request(String),
    /// The dispatch was refused.
    #[error(transparent)]
    Dispatch(#[from] DispatchError),
    /// There is no such delivery.
    #[error("there is no delivery {0}; `deliveries list` shows the existing ones")]
    NoDelivery(Uuid),
    /// The delivery was not changed.
    #[error(transparent)]
    Change(DeliveryChangeError),
    /// The channel does not exist, or could not be paused or resumed.
    #[error(transparent)]
    Channel(#[from] PauseError),
    /// The user was not forgotten.
    #[error(transparent)]
    Forget(#[from] ForgetError),
    /// The worker was asked to stop a second time.
    #[error("stopped at once on a second signal: running deliveries are retried after their lease")]
    Hurried,
    /// The database refused or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be printed, or signals could not be received.
    #[error("input or output failed")]
    Io(#[from] io::Error),
}

impl From<DeliveryChangeError> for CommandError {
    fn from(error: DeliveryChangeError) -> Self {
        match error {
            DeliveryChangeError::NotFound(id) => Self::NoDelivery(id),
            other => Self::Change(other),
        }
    }
}

impl From<sqlx::Error> for CommandError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl CommandError {
    /// Whether the database refused or did not answer.
    pub(crate) const fn is_of_the_store(&self) -> bool {
        matches!(
            self,
            Self::Store(_)
                | Self::Dispatch(DispatchError::Store(_))
                | Self::Change(DeliveryChangeError::Store(_))
                | Self::Channel(PauseError::Store(_))
                | Self::Forget(ForgetError::Store(_))
        )
    }

    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn with_causes(&self) -> String {
        with_causes(self)
    }
}

/// An error and its causes in one line; a cause that is already quoted in an error's message is not repeated.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
