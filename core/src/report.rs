//! The **report** is what the caller gets: counts, and one line for each recipient and channel behind them.

use std::collections::{BTreeMap, HashSet};

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// What became of one dispatch. In JSON its keys are camelCase.
///
/// Every (distinct recipient, declared channel) pair ends in exactly one [`Outcome`], and the sums balance:
/// `recipients == admitted + deduped + fully_suppressed + fully_failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says who was notified: a repeat or a failed channel is not an error"]
pub struct DispatchReport {
    /// Deliveries that were sent: rows written, mails and pushes accepted by their provider.
    pub sent: usize,
    /// Deliveries that are committed and left to a worker.
    pub queued: usize,
    /// Deliveries that could not be rendered, or whose first attempt failed. Those that may still succeed are retried.
    pub failed: usize,
    /// Recipients for whom this was a repeat inside the window.
    pub deduped: usize,
    /// Deliveries that a preference removed.
    pub suppressed_by_prefs: usize,
    /// Deliveries whose recipient has no address on the channel.
    pub unreachable: usize,
    /// Deliveries whose address is on the channel's suppression list.
    pub suppressed_addresses: usize,
    /// Distinct recipients.
    pub recipients: usize,
    /// Recipients whose notification was admitted.
    pub admitted: usize,
    /// Recipients who muted every channel of the event. No window was opened for them.
    pub fully_suppressed: usize,
    /// Recipients for whom no channel could be rendered. No window was opened for them.
    pub fully_failed: usize,
    /// Repeated recipient ids in the call, not counting the first of each.
    pub repeated_ids: usize,
    /// Whether the payload was larger than 64 KiB, so that only a part of it is stored. The rendered content is complete.
    pub payload_cut: bool,
    /// The id of the dispatch, if any recipient was admitted.
    pub dispatch_id: Option<Uuid>,
    /// One line for each recipient and channel, in the order of recipient and channel.
    pub outcomes: Vec<RecipientOutcome>,
}

/// What became of one event for one recipient on one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RecipientOutcome {
    /// The recipient.
    pub recipient_user_id: String,
    /// The channel.
    pub channel: &'static str,
    /// The outcome; in JSON one word, with the reason beside it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of one delivery during the call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was sent.
    Sent,
    /// It is committed and left to a worker; or its call is still under way, on a channel whose calls may take long.
    Queued,
    /// It could not be rendered, or the first attempt failed.
    Failed {
        /// What happened.
        reason: String,
        /// Whether it will be retried.
        retry: Retry,
    },
    /// It was a repeat inside the window.
    Deduped,
    /// A preference removed it.
    SuppressedByPrefs,
    /// The address is on the channel's suppression list.
    SuppressedAddress,
    /// The recipient has no address on the channel.
    Unreachable,
}

/// Whether a failed delivery is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Retry {
    /// A worker retries it.
    Scheduled,
    /// It is not retried. A delivery that was attempted is stored as dead; one that could not be rendered is not stored.
    Never,
}

impl Outcome {
    /// The outcome as one word, `suppressedByPrefs` for example.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Queued => "queued",
            Self::Failed { .. } => "failed",
            Self::Deduped => "deduped",
            Self::SuppressedByPrefs => "suppressedByPrefs",
            Self::SuppressedAddress => "suppressedAddress",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", self.as_str())?;
        if let Self::Failed { reason, retry } = self {
            map.serialize_entry("reason", reason)?;
            map.serialize_entry("retry", retry)?;
        }
        map.end()
    }
}

impl DispatchReport {
    /// Adds up the outcomes. The only place where totals are computed.
    pub(crate) fn from_outcomes(
        recipients: usize,
        repeated_ids: usize,
        dispatch_id: Uuid,
        mut outcomes: Vec<RecipientOutcome>,
        fully_failed: &HashSet<&str>,
    ) -> Self {
        outcomes.sort_by(|left, right| {
            (&left.recipient_user_id, left.channel).cmp(&(&right.recipient_user_id, right.channel))
        });
        let mut report = Self {
            recipients,
            repeated_ids,
            ..Self::default()
        };
        // A recipient is admitted, or a repeat, or nothing could be rendered, or everything is muted; repeats may have
        // muted some channels.
        let mut fates: BTreeMap<&str, Fate> = BTreeMap::new();
        for line in &outcomes {
            let is_failed = fully_failed.contains(line.recipient_user_id.as_str());
            let (count, fate) = match &line.outcome {
                Outcome::Sent => (&mut report.sent, Fate::Admitted),
                Outcome::Queued => (&mut report.queued, Fate::Admitted),
                Outcome::Failed { .. } if is_failed => (&mut report.failed, Fate::Failed),
                Outcome::Failed { .. } => (&mut report.failed, Fate::Admitted),
                Outcome::Unreachable => (&mut report.unreachable, Fate::Admitted),
                Outcome::SuppressedAddress => (&mut report.suppressed_addresses, Fate::Admitted),
                Outcome::SuppressedByPrefs => (&mut report.suppressed_by_prefs, Fate::Suppressed),
                Outcome::Deduped => {
                    fates.insert(&line.recipient_user_id, Fate::Deduped);
                    continue;
                }
            };
            *count += 1;
            let known = fates.entry(&line.recipient_user_id).or_insert(fate);
            *known = (*known).max(fate);
        }
        for fate in fates.values() {
            *match fate {
                Fate::Suppressed => &mut report.fully_suppressed,
                Fate::Failed => &mut report.fully_failed,
                Fate::Admitted => &mut report.admitted,
                Fate::Deduped => &mut report.deduped,
            } += 1;
        }
        report.dispatch_id = (report.admitted > 0).then_some(dispatch_id);
        report.outcomes = outcomes;
        report
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Suppressed,
    Failed,
    Admitted,
    Deduped,
}
