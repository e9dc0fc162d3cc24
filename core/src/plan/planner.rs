//! The **planner** knows every event and channel, and turns a checked notice into a plan with its content. It does no I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::plan::check::Checked;
use crate::plan::preference::Choices;
use crate::plan::registry::Registry;
use crate::plan::render::{Content, Failures, HttpLinks};
use crate::plan::{Plan, PlannedRecipient, plan};

/// Knows every event and channel, and decides only from these and the recipients' preferences.
pub(crate) struct Planner {
    pub(crate) registry: Arc<Registry>,
    pub(crate) max_recipients: usize,
    pub(crate) http_links: HttpLinks,
}

/// A notice with its plan and its content, after steps 3 to 5.
pub(crate) struct Planned {
    pub(crate) checked: Checked,
    pub(crate) plan: Plan,
    pub(crate) content: Content,
    /// The planned channels that have no content, and why.
    pub(crate) failures: Failures,
}

impl Planner {
    /// Steps 4 and 5: plan, render once.
    pub(crate) fn plan(&self, checked: Checked, choices: &Choices) -> Planned {
        let plan = plan(checked.event, &checked.recipients, choices);
        let channels: BTreeSet<_> = plan
            .recipients
            .iter()
            .flat_map(PlannedRecipient::sending)
            .collect();
        let (content, failures) = self.registry.renderer().render(
            checked.event,
            &channels,
            &checked.payload,
            self.http_links,
        );
        Planned {
            checked,
            plan,
            content,
            failures,
        }
    }
}

impl Planned {
    /// The channels that get a delivery: planned, and rendered.
    pub(crate) fn rendered<'a>(
        &'a self,
        recipient: &'a PlannedRecipient,
    ) -> impl Iterator<Item = &'static str> + 'a {
        let sending = recipient.sending();
        sending.filter(|channel| !self.failures.contains_key(channel))
    }
}
