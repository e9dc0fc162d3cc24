//! Why a user's settings were not read or changed.

use crate::database::error::StoreError;
use crate::event::recipient::InvalidInput;
use crate::event::suggest::did_you_mean;

/// Why preferences were not read or changed. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreferenceError {
    /// The user id cannot be stored.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// No registered event is of this category.
    #[error("no event is of the category `{category}`; the categories are {}{}", known.join(", "), did_you_mean(category, known.iter().copied()))]
    UnknownCategory {
        /// What was asked for.
        category: String,
        /// The categories there are.
        known: Vec<&'static str>,
    },
    /// No event of the category goes to this channel.
    #[error("no event of the category `{category}` goes to the channel `{channel}`; it goes to {}{}", known.join(", "), did_you_mean(channel, known.iter().copied()))]
    UnknownChannel {
        /// The category.
        category: String,
        /// What was asked for.
        channel: String,
        /// The channels of the category.
        known: Vec<&'static str>,
    },
    /// The settings have changed since the version that the change was made for.
    #[error("the preferences have changed since they were read; read them again")]
    Changed,
    /// The channel is critical for every event of the category: it cannot be muted.
    #[error("the channel `{channel}` of the category `{category}` cannot be muted: {reason}")]
    Locked {
        /// The category.
        category: String,
        /// The channel.
        channel: String,
        /// Why.
        reason: String,
    },
    /// The database refused or did not answer.
    #[error("the preferences were not read or written")]
    Store(#[from] StoreError),
}
