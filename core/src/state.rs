//! The **state** of a delivery: the words that stand in its row.

use serde::Serialize;

/// The state of a delivery. In JSON a lower case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeliveryState {
    /// It waits for a worker, or for its next attempt.
    Pending,
    /// An attempt is under way.
    Running,
    /// It went out.
    Delivered,
    /// Its address is on the channel's suppression list, or the recipient has muted the channel since.
    Suppressed,
    /// The recipient has no address on the channel.
    Unreachable,
    /// It was no longer worth sending.
    Expired,
    /// An operator cancelled it.
    Cancelled,
    /// It will never work, or has used up its attempts.
    Dead,
    /// Nobody knows whether it went out.
    Unknown,
    /// Its event or its channel is not known to any running worker, until one knows it; or it cannot be read, or the database
    /// refuses to record what came of it, and it waits for an operator.
    Blocked,
}

impl DeliveryState {
    /// Every state, in the order of a delivery's life.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Running,
        Self::Delivered,
        Self::Suppressed,
        Self::Unreachable,
        Self::Expired,
        Self::Cancelled,
        Self::Dead,
        Self::Unknown,
        Self::Blocked,
    ];

    /// The state as the database has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Unreachable => "unreachable",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
        }
    }

    pub(crate) fn read(text: &str) -> Result<Self, sqlx::Error> {
        let known = Self::ALL.iter().find(|state| state.as_str() == text);
        known
            .copied()
            .ok_or_else(|| sqlx::Error::Decode(format!("no state `{text}` is known").into()))
    }
}
