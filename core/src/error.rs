//! What can go wrong before anything was tried. `Err` means: nothing was written, nobody was told; but for
//! [`DispatchError::CommitUnknown`], which says that nobody can know.
//!
//! What goes wrong afterwards, on one channel, is an [`Outcome`](crate::Outcome) in the report.

use uuid::Uuid;

use crate::database::error::StoreError;
use crate::event::payload::PayloadError;
use crate::event::recipient::InvalidInput;

/// Why a dispatch was not tried. Nothing was written, unless it is [`CommitUnknown`](DispatchError::CommitUnknown).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// No event of this type is registered.
    #[error("no event `{event_type}` is registered{}", suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    RegistryMiss {
        /// The type that was asked for.
        event_type: String,
        /// The registered type most like it.
        suggestion: Option<String>,
    },
    /// The payload does not fit the event.
    #[error("the payload of `{event_type}` is refused: {reason}")]
    InvalidPayload {
        /// The event.
        event_type: String,
        /// Which field, and why. It is part of the message, and no separate source.
        reason: PayloadError,
    },
    /// A recipient, subject or organization cannot be stored.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// More recipients than one call takes.
    #[error(
        "{given} recipients, and one dispatch takes at most {most}: split the audience, or raise `max_recipients` on the builder"
    )]
    TooManyRecipients {
        /// How many were named.
        given: usize,
        /// How many one call takes.
        most: usize,
    },
    /// `enqueue_in` was given a connection without an open transaction.
    #[error(
        "the connection is not in a transaction: begin one, pass it to `enqueue_in`, and commit it; or use `enqueue`, which commits by itself"
    )]
    NotInTransaction,
    /// `enqueue_in` was given a connection to the other kind of database.
    #[error("the transaction is on {given}, but this dispatcher writes to {expected}")]
    OtherDatabase {
        /// What the connection speaks.
        given: &'static str,
        /// What the dispatcher was built over.
        expected: &'static str,
    },
    /// Two notices of one call have the same [`dispatch_id`](crate::Notice::dispatch_id).
    #[error("two notices of one call have the dispatch id {0}: give each its own")]
    RepeatedDispatchId(Uuid),
    /// The database refused or did not answer. Nothing was written.
    #[error("the database did not take the dispatch")]
    Store(#[from] StoreError),
    /// The connection broke, or the time was over, while the database was committing: nobody can know whether the dispatch was
    /// written. It is whole or not there at all. A notice with an id of the caller's own,
    /// [`Notice::dispatch_id`](crate::Notice::dispatch_id), is dispatched again as it is, and written once. Without one, look
    /// before you repeat it: the same call could write it twice.
    #[error(
        "the database's answer to the commit was lost, and nobody can know whether the dispatch was written: repeat it if it has a `dispatch_id` of your own, under which it is written once; else look first whether it is there"
    )]
    CommitUnknown {
        /// The ids of the dispatches, those of the caller's and those made here, in the order of the notices.
        dispatch_ids: Vec<Uuid>,
        /// How the answer was lost.
        source: StoreError,
    },
}

impl DispatchError {
    /// Whether the same call may be made again: the database was busy, restarting, or found a conflict, and nothing was written.
    /// [`CommitUnknown`](DispatchError::CommitUnknown) is not transient: without an id of the caller's own the same call could
    /// write everything twice.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }

    /// A stable code for machines: `REGISTRY_MISS`, `INVALID_PAYLOAD`, ..
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RegistryMiss { .. } => "REGISTRY_MISS",
            Self::InvalidPayload { .. } => "INVALID_PAYLOAD",
            Self::InvalidInput(_) => "INVALID_INPUT",
            Self::TooManyRecipients { .. } => "TOO_MANY_RECIPIENTS",
            Self::NotInTransaction => "NOT_IN_TRANSACTION",
            Self::OtherDatabase { .. } => "OTHER_DATABASE",
            Self::RepeatedDispatchId(_) => "REPEATED_DISPATCH_ID",
            Self::Store(_) => "STORE_FAILED",
            Self::CommitUnknown { .. } => "COMMIT_UNKNOWN",
        }
    }
}
