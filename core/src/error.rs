//! Errors from before anything was tried. `Err` means that nothing was written and nobody was notified, except for
//! [`DispatchError::CommitUnknown`]: there nobody can know.
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
        /// The requested type.
        event_type: String,
        /// The most similar registered type, if one is similar enough.
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
    /// More recipients than one call accepts.
    #[error(
        "{given} recipients, and one dispatch takes at most {max}: split the audience, or raise `max_recipients` on the builder"
    )]
    TooManyRecipients {
        /// How many were named.
        given: usize,
        /// The maximum number of recipients of one call.
        max: usize,
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
        /// The kind of database that the dispatcher writes to.
        expected: &'static str,
    },
    /// Two notices of one call have the same [`dispatch_id`](crate::Notice::dispatch_id).
    #[error("two notices of one call have the dispatch id {0}: give each its own")]
    RepeatedDispatchId(Uuid),
    /// The database refused or did not answer. Nothing was written.
    #[error("the dispatch was not written")]
    Store(#[from] StoreError),
    /// The connection broke or the statement timed out during the commit: nobody can know whether the dispatch was written. It
    /// was written completely or not at all. A notice with an id of the caller's own,
    /// [`Notice::dispatch_id`](crate::Notice::dispatch_id), can be dispatched again, and is written once. Without such an id,
    /// check before you repeat the call: it could write the dispatch twice.
    #[error(
        "the database's answer to the commit was lost, and nobody can know whether the dispatch was written: repeat it if it has a `dispatch_id` of your own, under which it is written once; otherwise check first whether it was written"
    )]
    CommitUnknown {
        /// The ids of the dispatches, given by the caller or generated, in the order of the notices.
        dispatch_ids: Vec<Uuid>,
        /// The error with which the answer was lost.
        source: StoreError,
    },
}

impl DispatchError {
    /// Whether the same call may succeed later: the database was busy, restarting, or found a conflict, and nothing was written.
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
