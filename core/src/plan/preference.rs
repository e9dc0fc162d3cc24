//! **Preferences** only subtract: one row per user, category and channel; a missing row means on.
//!
//! [`decide`] is the complete rule.
//!
//! | critical | the user's row | decision |
//! |---|---|---|
//! | yes | none, on or off | sends: [`Rule::Critical`] |
//! | no | none | sends: [`Rule::DefaultOn`] |
//! | no | on | sends: [`Rule::OptedIn`] |
//! | no | off | is suppressed: [`Rule::OptedOut`] |

use std::collections::HashMap;

use serde::Serialize;

use crate::event::Weight;

/// What a user chose for a (category, channel) cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a switch has two positions")]
pub enum Choice {
    /// Send it.
    On,
    /// Do not send it.
    Off,
}

impl Choice {
    pub(crate) const fn from_enabled(enabled: bool) -> Self {
        if enabled { Self::On } else { Self::Off }
    }
}

/// The rule that made the decision about one channel for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Rule {
    /// The channel is critical for this event: preferences do not apply.
    Critical,
    /// The user has not chosen, and the default is on.
    DefaultOn,
    /// The user chose on.
    OptedIn,
    /// The user chose off.
    OptedOut,
}

impl Rule {
    /// Whether a delivery is made.
    #[must_use]
    pub const fn sends(self) -> bool {
        !matches!(self, Self::OptedOut)
    }
}

/// Decides about one channel of one event for one recipient; the table is at the top of this page.
#[must_use]
pub const fn decide(weight: Weight, choice: Option<Choice>) -> Rule {
    match (weight, choice) {
        (Weight::Critical, _) => Rule::Critical,
        (Weight::Ordinary, None) => Rule::DefaultOn,
        (Weight::Ordinary, Some(Choice::On)) => Rule::OptedIn,
        (Weight::Ordinary, Some(Choice::Off)) => Rule::OptedOut,
    }
}

/// The rows of some users, as the planner reads them.
#[derive(Debug, Default, Clone)]
pub struct Choices(HashMap<String, Vec<(String, String, Choice)>>);

impl Choices {
    /// Adds one row.
    pub fn insert(&mut self, user: &str, category: &str, channel: &str, choice: Choice) {
        self.0.entry(user.to_owned()).or_default().push((
            category.to_owned(),
            channel.to_owned(),
            choice,
        ));
    }

    pub(crate) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// What a user chose; `None` without a row.
    #[must_use]
    pub fn of(&self, user: &str, category: &str, channel: &str) -> Option<Choice> {
        let rows = self.0.get(user)?;
        rows.iter()
            .find(|(its_category, its_channel, _)| {
                its_category == category && its_channel == channel
            })
            .map(|(_, _, choice)| *choice)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_rule_matches_the_published_truth_table() {
        use Choice::{Off, On};
        use Weight::{Critical, Ordinary};
        for (weight, choice, rule, sends) in [
            (Critical, None, Rule::Critical, true),
            (Critical, Some(On), Rule::Critical, true),
            (Critical, Some(Off), Rule::Critical, true),
            (Ordinary, None, Rule::DefaultOn, true),
            (Ordinary, Some(On), Rule::OptedIn, true),
            (Ordinary, Some(Off), Rule::OptedOut, false),
        ] {
            assert_eq!(decide(weight, choice), rule);
            assert_eq!(rule.sends(), sends);
        }
    }

    proptest! {
        /// The reference model: start with every declared channel, remove those that are off, add back those that are critical.
        #[test]
        fn the_resolver_agrees_with_subtraction_on_sets(
            declared in prop::collection::btree_set(0_u8..6, 0..6),
            off in prop::collection::btree_set(0_u8..6, 0..6),
            on in prop::collection::btree_set(0_u8..6, 0..6),
            critical in prop::option::of(0_u8..6),
        ) {
            let off: BTreeSet<u8> = off.difference(&on).copied().collect();
            let model: BTreeSet<u8> = declared
                .iter()
                .filter(|channel| !off.contains(channel) || critical == Some(**channel))
                .copied()
                .collect();
            let resolved: BTreeSet<u8> = declared
                .iter()
                .filter(|channel| {
                    let weight = if critical == Some(**channel) { Weight::Critical } else { Weight::Ordinary };
                    let choice = if off.contains(channel) { Some(Choice::Off) }
                        else if on.contains(channel) { Some(Choice::On) }
                        else { None };
                    decide(weight, choice).sends()
                })
                .copied()
                .collect();
            prop_assert_eq!(resolved, model);
        }
    }
}
