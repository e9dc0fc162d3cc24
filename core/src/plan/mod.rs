//! The **plan** states, for every recipient and channel of an event, whether a delivery is made and which rule decided it.
//!
//! It is pure: no database, no clock, no channel. `dispatch` executes it, `explain` prints it.

pub(crate) mod registry;
pub(crate) mod check;
pub(crate) mod planner;
pub(crate) mod preference;
pub(crate) mod dedup;
pub(crate) mod render;

use serde::Serialize;

use crate::event::EventDeclaration;
use crate::plan::preference::{Choices, Rule, decide};

pub use self::render::{Content, Failures, HttpLinks};

/// Every recipient of one dispatch, with a decision for every declared channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// In ascending order of the user id.
    pub recipients: Vec<PlannedRecipient>,
}

/// One recipient, with a decision for every declared channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedRecipient {
    /// The recipient.
    pub recipient_user_id: String,
    /// One decision for each channel that the event declares.
    pub channels: Vec<Decision>,
}

/// The decision about one channel, and the rule that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The channel.
    pub channel: &'static str,
    /// Whether a delivery is made.
    pub sends: bool,
    /// The rule that made the decision.
    pub rule: Rule,
}

impl PlannedRecipient {
    /// The channels that get a delivery.
    pub(crate) fn sending(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.channels
            .iter()
            .filter(|decision| decision.sends)
            .map(|decision| decision.channel)
    }
}

/// Plans one event for its recipients (distinct, sorted) under their preferences.
#[must_use]
pub fn plan(event: &EventDeclaration, recipients: &[String], choices: &Choices) -> Plan {
    let decisions = |user: &String| PlannedRecipient {
        recipient_user_id: user.clone(),
        channels: event
            .channels
            .iter()
            .map(|used| {
                let channel = used.channel.name();
                let rule = decide(
                    event.weight(channel),
                    choices.of(user, event.category, channel),
                );
                Decision {
                    channel,
                    sends: rule.sends(),
                    rule,
                }
            })
            .collect(),
    };
    Plan {
        recipients: recipients.iter().map(decisions).collect(),
    }
}
