//! Step 8 of a dispatch: the account of what was planned, admitted and attempted, one outcome for each recipient and
//! declared channel.

use std::collections::HashMap;

use uuid::Uuid;

use crate::dispatch::Inner;
use crate::report::{DispatchReport, Outcome, RecipientOutcome};
use crate::store::Candidate;
use crate::telemetry;
use crate::write::{Checked, Written};

impl Inner {
    /// Step 8: one outcome for each recipient and declared channel.
    pub(crate) fn report(
        &self,
        written: &Written,
        attempted: &HashMap<Uuid, Outcome>,
    ) -> Vec<DispatchReport> {
        let candidates = written.by_recipient();
        let reports = written.planned.iter().map(|planned| {
            let checked = &planned.checked;
            let mut outcomes = Vec::new();
            for recipient in &planned.plan.recipients {
                let user = recipient.recipient_user_id.as_str();
                let candidate = candidates
                    .get(&(checked.dispatch_id, user))
                    .filter(|its| written.admission.admitted.contains(&its.notification_id));
                for decision in &recipient.channels {
                    let outcome = match (decision.sends, candidate) {
                        (false, _) => Outcome::SuppressedByPrefs,
                        (true, None) => Outcome::Deduped,
                        (true, Some(candidate)) => {
                            self.outcome(candidate, decision.channel, attempted)
                        }
                    };
                    outcomes.push(RecipientOutcome {
                        recipient_user_id: user.to_owned(),
                        channel: decision.channel,
                        outcome,
                    });
                }
            }
            let report = DispatchReport::from_outcomes(
                checked.recipients.len(),
                checked.repeated_ids,
                checked.dispatch_id,
                outcomes,
            );
            telemetry::notifications(checked.event.event_type, &report);
            report
        });
        reports.collect()
    }

    fn outcome(
        &self,
        candidate: &Candidate,
        channel: &str,
        attempted: &HashMap<Uuid, Outcome>,
    ) -> Outcome {
        // A local channel's row was written with the dispatch.
        if !self.channels.contains_key(channel) {
            return Outcome::Sent;
        }
        candidate
            .deliveries
            .iter()
            .find(|(_, its)| *its == channel)
            .and_then(|(id, _)| attempted.get(id).cloned())
            .unwrap_or(Outcome::Queued)
    }
}

impl Written {
    /// The candidates, by dispatch and recipient.
    fn by_recipient(&self) -> HashMap<(Uuid, &str), &Candidate> {
        let candidates = self.chunks.iter().flat_map(|chunk| {
            chunk.candidates.iter().map(|candidate| {
                let dispatch = chunk.dispatches[candidate.dispatch].id;
                ((dispatch, candidate.user_id.as_str()), candidate)
            })
        });
        candidates.collect()
    }
}

pub(crate) fn empty_report(checked: &Checked) -> DispatchReport {
    DispatchReport::from_outcomes(0, checked.repeated_ids, checked.dispatch_id, Vec::new())
}
