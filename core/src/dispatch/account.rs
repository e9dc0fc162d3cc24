//! Step 8 of a dispatch: the account of what was planned, admitted and attempted, one outcome for each recipient and
//! declared channel.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::dispatch::write::{Writer, Written};
use crate::observe::telemetry;
use crate::plan::check::Checked;
use crate::plan::planner::Planned;
use crate::report::{DispatchReport, Outcome, RecipientOutcome, Retry};
use crate::store::Candidate;

impl Writer {
    /// Step 8: one outcome for each recipient and declared channel.
    pub(crate) fn report(
        &self,
        written: &Written,
        attempted: &HashMap<Uuid, Outcome>,
    ) -> Vec<DispatchReport> {
        let candidates = written.by_recipient();
        let reports = written.planned.iter();
        let reports = reports.map(|planned| {
            let report = self.report_of(planned, written, &candidates, attempted);
            let checked = &planned.checked;
            telemetry::notifications(checked.event.event_type, &report);
            if report.deduped > 0 {
                tracing::debug!(
                    target: "campanile",
                    event_type = checked.event.event_type,
                    key = checked.dedup_key.to_string(),
                    deduped = report.deduped,
                    "a repeat inside the window of its key"
                );
            }
            report
        });
        reports.collect()
    }

    fn report_of(
        &self,
        planned: &Planned,
        written: &Written,
        candidates: &HashMap<(Uuid, &str), &Candidate>,
        attempted: &HashMap<Uuid, Outcome>,
    ) -> DispatchReport {
        let checked = &planned.checked;
        let mut outcomes = Vec::new();
        let mut fully_failed = HashSet::new();
        for recipient in &planned.plan.recipients {
            let user = recipient.recipient_user_id.as_str();
            let candidate = candidates.get(&(checked.dispatch_id, user));
            let candidate = candidate.filter(|candidate| written.has_admitted(candidate));
            let is_candidate = planned.rendered(recipient).next().is_some();
            if !is_candidate && recipient.sending().next().is_some() {
                fully_failed.insert(user);
            }
            for decision in &recipient.channels {
                let failure = planned.failures.get(decision.channel);
                let outcome = match (decision.sends, candidate, failure) {
                    (false, ..) => Outcome::SuppressedByPrefs,
                    (true, None, _) if is_candidate => Outcome::Deduped,
                    (true, _, Some(reason)) => Outcome::Failed {
                        reason: reason.clone(),
                        retry: Retry::Never,
                    },
                    (true, None, None) => Outcome::Deduped,
                    (true, Some(candidate), None) => {
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
        let mut report = DispatchReport::from_outcomes(
            checked.recipients.len(),
            checked.repeated_ids,
            checked.dispatch_id,
            outcomes,
            &fully_failed,
        );
        report.payload_cut = checked.payload.is_cut();
        report
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
            .find(|(_, of)| *of == channel)
            .and_then(|(id, _)| attempted.get(id).cloned())
            .unwrap_or(Outcome::Queued)
    }
}

impl Written {
    fn has_admitted(&self, candidate: &Candidate) -> bool {
        self.admission.admitted.contains(&candidate.notification_id)
    }

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
    DispatchReport::from_outcomes(
        0,
        checked.repeated_ids,
        checked.dispatch_id,
        Vec::new(),
        &HashSet::new(),
    )
}
