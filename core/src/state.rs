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
    /// It expired before it was sent.
    Expired,
    /// An operator cancelled it.
    Cancelled,
    /// It can never succeed, or its attempts are exhausted.
    Dead,
    /// It is not known whether it was sent.
    Unknown,
    /// It waits for a worker that knows its event and its channel; or, if it cannot be read or the database refuses to record its
    /// outcome, for an operator.
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

    /// The state as the database stores it.
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

    /// Whether the state is final: only an operator can retry the delivery.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Blocked)
    }

    /// Whether a delivery ended without having reached anybody.
    pub(crate) const fn reached_nobody(self) -> bool {
        self.is_final() && !matches!(self, Self::Delivered | Self::Unknown)
    }

    /// Whether the system failed to deliver, as opposed to a person who cannot be reached. A cancel counts as the system's failure: the
    /// person could have been reached.
    const fn is_failure(self) -> bool {
        matches!(self, Self::Dead | Self::Expired | Self::Cancelled)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|state| state.as_str() == text)
    }
}

/// Whether a state is in a set.
type IsIn = fn(DeliveryState) -> bool;

/// The sets of states that statements ask for, by their names.
const SETS: [(&str, IsIn); 6] = [
    ("final", DeliveryState::is_final),
    ("open", |state| !state.is_final()),
    // No worker holds it, and it has not ended.
    ("waiting", |state| {
        !state.is_final() && state != DeliveryState::Running
    }),
    ("unreached", DeliveryState::reached_nobody),
    ("failed", DeliveryState::is_failure),
    // An operator can make it due again.
    ("retriable", |state| {
        state == DeliveryState::Blocked || state.is_final() && state != DeliveryState::Delivered
    }),
];

/// What the placeholders `{state.dead}` and `{states.final}` of a statement stand for; `None` if no state and no set is so called.
/// Literals and not parameters: a partial index serves only what the planner can see.
pub(crate) fn placeholder(name: &str) -> Option<String> {
    let quoted = |state: &DeliveryState| format!("'{}'", state.as_str());
    if let Some(word) = name.strip_prefix("state.") {
        let mut states = DeliveryState::ALL.iter();
        return states.find(|state| state.as_str() == word).map(quoted);
    }
    let name = name.strip_prefix("states.")?;
    let (_, is_in) = SETS.iter().find(|(set, _)| *set == name)?;
    let states = DeliveryState::ALL.iter().filter(|state| is_in(**state));
    let words: Vec<_> = states.map(quoted).collect();
    Some(format!("({})", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_states_is_written_out() {
        for (name, expected) in [
            ("state.dead", "'dead'"),
            ("states.open", "('pending', 'running', 'blocked')"),
            ("states.waiting", "('pending', 'blocked')"),
            ("states.failed", "('expired', 'cancelled', 'dead')"),
            (
                "states.final",
                "('delivered', 'suppressed', 'unreachable', 'expired', 'cancelled', 'dead', 'unknown')",
            ),
            (
                "states.unreached",
                "('suppressed', 'unreachable', 'expired', 'cancelled', 'dead')",
            ),
            (
                "states.retriable",
                "('suppressed', 'unreachable', 'expired', 'cancelled', 'dead', 'unknown', 'blocked')",
            ),
        ] {
            assert_eq!(placeholder(name).as_deref(), Some(expected));
        }
        for unknown in ["state.gone", "states.gone", "dead"] {
            assert_eq!(placeholder(unknown), None);
        }
    }
}
