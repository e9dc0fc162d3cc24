//! A **batch**: the rows of one write, in the order in which all writers lock them.

use std::collections::HashMap;
use std::time::Duration;

use uuid::Uuid;

use super::micros;

/// One write: the dispatches, and those recipients of each that have not muted every channel.
#[derive(Debug, Default, Clone)]
pub(crate) struct Batch {
    pub(crate) dispatches: Vec<DispatchRow>,
    pub(crate) candidates: Vec<Candidate>,
}

/// One dispatch, as its row.
#[derive(Debug, Clone)]
pub(crate) struct DispatchRow {
    pub(crate) id: Uuid,
    /// Whether the caller gave the id, so that a dispatch with it is written only once.
    pub(crate) is_given: bool,
    pub(crate) event_type: &'static str,
    pub(crate) category: &'static str,
    pub(crate) subject_id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) payload: String,
    pub(crate) content: String,
    /// The content of the channels that show secrets, if the event has any: an object of texts.
    pub(crate) secrets: Option<String>,
    /// The key of the row of its window.
    pub(crate) dedup_key: String,
    /// Set for [`Until::Changed`](crate::event::Until::Changed) only: the whole key. All keys of a subject then share one window
    /// row, which counts as open only for the key that was admitted last.
    pub(crate) variant: Option<String>,
    /// Zero: no dispatch is a repeat, and no window is opened.
    pub(crate) window: Duration,
    /// How long its remote deliveries stay worth sending.
    pub(crate) expires_after: Option<Duration>,
    pub(crate) trace_context: Option<String>,
}

impl DispatchRow {
    pub(crate) fn window_micros(&self) -> i64 {
        i64::try_from(self.window.as_micros()).expect("a window is at most a year")
    }

    pub(crate) fn expires_after_micros(&self) -> Option<i64> {
        self.expires_after.map(micros)
    }
}

/// One recipient of one dispatch. The database decides whether it is admitted.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Index into [`Batch::dispatches`].
    pub(crate) dispatch: usize,
    pub(crate) notification_id: Uuid,
    /// How many earlier candidates of the batch claim the same window, each for another key.
    pub(crate) turn: usize,
    pub(crate) user_id: String,
    /// The channels that get it, each with an id for its delivery.
    pub(crate) deliveries: Vec<(Uuid, &'static str)>,
}

impl Batch {
    /// Cuts the batch into pieces of at most `size` candidates, each with the dispatches it needs. One piece claims a window
    /// at most once.
    pub(crate) fn chunks(self, size: usize) -> Vec<Self> {
        if self.candidates.len() <= size
            && self.candidates.iter().all(|candidate| candidate.turn == 0)
        {
            return vec![self];
        }
        self.candidates
            .chunk_by(|left, right| left.turn == right.turn)
            .flat_map(|turn| turn.chunks(size))
            .map(|candidates| {
                let mut chunk = Self::default();
                let mut positions = HashMap::new();
                for candidate in candidates {
                    let dispatch = *positions.entry(candidate.dispatch).or_insert_with(|| {
                        chunk
                            .dispatches
                            .push(self.dispatches[candidate.dispatch].clone());
                        chunk.dispatches.len() - 1
                    });
                    chunk.candidates.push(Candidate {
                        dispatch,
                        ..candidate.clone()
                    });
                }
                chunk
            })
            .collect()
    }

    /// Drops consecutive repeats of one window and key: one statement cannot claim a row twice. The same window under another key
    /// gets a higher turn, and is written by a later statement. The remaining candidates are sorted by turn, then user, then key,
    /// also across chunks, so that all writers lock in one order; a later turn locks no new row.
    pub(crate) fn settle_repeats(&mut self) {
        let dispatches = &self.dispatches;
        let mut last = HashMap::new();
        self.candidates.retain_mut(|candidate| {
            let dispatch = &dispatches[candidate.dispatch];
            if dispatch.window.is_zero() {
                return true;
            }
            let window = (
                dispatch.event_type,
                dispatch.dedup_key.as_str(),
                candidate.user_id.clone(),
            );
            let variant = dispatch.variant.as_deref();
            match last.get(&window) {
                Some((before, _)) if *before == variant => return false,
                Some((_, turn)) => candidate.turn = turn + 1,
                None => {}
            }
            last.insert(window, (variant, candidate.turn));
            true
        });
        let window = |candidate: &Candidate| {
            let dispatch = &dispatches[candidate.dispatch];
            (dispatch.event_type, dispatch.dedup_key.as_str())
        };
        self.candidates.sort_by(|left, right| {
            let order = left.turn.cmp(&right.turn);
            order
                .then_with(|| left.user_id.cmp(&right.user_id))
                .then_with(|| window(left).cmp(&window(right)))
        });
    }
}
