//! Steps 3 to 6 of a dispatch: preferences are read once, the plan is made, content is rendered once, and everything is
//! written at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::channel::delivery::Hidden;
use crate::channel::delivery::{Delivery, Parts, Past};
use crate::database::connection::within;
use crate::database::error::StoreError;
use crate::database::{Database, Held, each_database};
use crate::deliver::remote::Remotes;
use crate::error::DispatchError;
use crate::event::secret::Kept;
use crate::limits::Limits;
use crate::plan::check::Checked;
use crate::plan::planner::{Planned, Planner};
use crate::plan::preference::Choices;
use crate::report::DispatchReport;
use crate::store::{
    Admission, Around, Batch, Candidate, DispatchRow, End, Lease, Statements, Store, WriteError,
};

/// What was written: every notice with its plan, the candidates, and the database's decisions.
pub(crate) struct Written {
    pub(crate) planned: Vec<Planned>,
    pub(crate) chunks: Vec<Batch>,
    pub(crate) admission: Admission,
    /// Taken before preferences are read and before the leases begin: a lower bound of both.
    pub(crate) leased_at: Instant,
    /// The claim of the leased deliveries.
    pub(crate) claim: Uuid,
}

/// Plans and writes dispatches.
pub(crate) struct Writer {
    pub(crate) planner: Planner,
    pub(crate) database: Database,
    pub(crate) statements: Statements,
    /// The remote channels.
    pub(crate) channels: Arc<Remotes>,
    pub(crate) limits: Limits,
    /// This process, in leases and in the delivery log.
    pub(crate) worker: Uuid,
}

impl Writer {
    pub(crate) fn lease(&self, at_most: usize) -> Lease {
        Lease {
            at_most,
            time: self.limits.lease,
            worker: self.worker,
            claim: Uuid::now_v7(),
            lock_wait: Some(self.limits.lock_wait),
            // A database on which a statement waits for a lock is not silent: the timeout is longer by the time of that wait.
            answer_within: self
                .database
                .bound()
                .map(|bound| bound.saturating_add(self.limits.lock_wait)),
        }
    }

    /// Step 3: read preferences once, with one query for each chunk of users.
    pub(crate) async fn read_preferences(
        &self,
        store: &mut impl Store,
        checked: &[Checked],
        bound: Option<Duration>,
    ) -> Result<Choices, DispatchError> {
        let categories: BTreeSet<_> = checked
            .iter()
            .map(|checked| checked.event.category)
            .collect();
        let categories: Vec<_> = categories.into_iter().collect();
        let users: BTreeSet<_> = checked
            .iter()
            .flat_map(|checked| &checked.recipients)
            .collect();
        let users: Vec<String> = users.into_iter().cloned().collect();
        let mut choices = Choices::default();
        for users in users.chunks(self.limits.chunk) {
            let read = store.read_choices(&self.database, &categories, users);
            let read = within(bound, read).await.map_err(StoreError::from)?;
            choices.extend(read);
        }
        Ok(choices)
    }

    /// Steps 4 and 5: plan, render once.
    pub(crate) async fn plan_and_render(
        &self,
        checked: Vec<Checked>,
        choices: &Choices,
    ) -> Vec<Planned> {
        let mut planned = Vec::with_capacity(checked.len());
        for checked in checked {
            let mut one = self.planner.plan(checked, choices);
            one.content = self.complete(one.checked.event, one.content).await;
            planned.push(one);
        }
        planned
    }

    /// Steps 3 to 6 on a connection of the dispatcher's own.
    pub(crate) async fn write(
        &self,
        checked: Vec<Checked>,
        lease: Lease,
    ) -> Result<Written, DispatchError> {
        each_database!(&self.database, |pool| {
            let (_turn, mut held) = Held::to_write(&self.database, pool)
                .await
                .map_err(StoreError::from)?;
            let written = self
                .write_on(held.connection(), checked, lease, Around::Nothing)
                .await;
            match &written {
                // It is closed, so that nobody waits for the rest of its answer.
                Err(DispatchError::CommitUnknown { .. }) => drop(held),
                Err(DispatchError::Store(error)) if error.is_broken() => drop(held),
                _ => held.give_back(),
            }
            written
        })
    }

    /// Steps 3 to 6 on the host's connection, and the report: there is nothing to deliver before the host commits.
    pub(crate) async fn write_within(
        &self,
        connection: &mut impl Store,
        checked: Vec<Checked>,
    ) -> Result<Vec<DispatchReport>, DispatchError> {
        let entered = connection.enter().await.map_err(StoreError::from)?;
        let around = entered.ok_or(DispatchError::NotInTransaction)?;
        let lease = Lease {
            lock_wait: None,
            answer_within: None,
            ..self.lease(0)
        };
        let written = self.write_on(connection, checked, lease, around).await;
        let end = if written.is_ok() {
            End::Keep
        } else {
            End::Undo
        };
        let left = connection.leave(around, end).await;
        let written = written?;
        left.map_err(StoreError::from)?;
        Ok(self.report(&written, &HashMap::new()))
    }

    async fn write_on(
        &self,
        connection: &mut impl Store,
        checked: Vec<Checked>,
        lease: Lease,
        around: Around,
    ) -> Result<Written, DispatchError> {
        let leased_at = Instant::now();
        let ids: Vec<_> = checked.iter().map(|checked| checked.dispatch_id).collect();
        let choices = self
            .read_preferences(connection, &checked, lease.answer_within)
            .await?;
        let planned = self.plan_and_render(checked, &choices).await;
        let chunks = self.candidates(&planned);
        // Step 6: write once.
        let written = connection.write(&self.statements, &chunks, lease, around);
        let admission = written.await.map_err(|error| match error {
            WriteError::Nothing(error) => DispatchError::Store(error.into()),
            WriteError::Unknown(error) => DispatchError::CommitUnknown {
                dispatch_ids: ids,
                source: error.into(),
            },
        })?;
        Ok(Written {
            planned,
            chunks,
            admission,
            leased_at,
            claim: lease.claim,
        })
    }

    /// The recipients whose admission the database decides: those with content on at least one channel that they have not muted.
    fn candidates(&self, planned: &[Planned]) -> Vec<Batch> {
        let mut batch = Batch::default();
        for (dispatch, planned) in planned.iter().enumerate() {
            batch.dispatches.push(planned.row());
            for recipient in &planned.plan.recipients {
                let notification_id = notification_id();
                let deliveries: Vec<_> = (1..=u8::MAX)
                    .zip(planned.rendered(recipient))
                    .map(|(number, channel)| (delivery_id(notification_id, number), channel))
                    .collect();
                if !deliveries.is_empty() {
                    batch.candidates.push(Candidate {
                        dispatch,
                        notification_id,
                        turn: 0,
                        user_id: recipient.recipient_user_id.clone(),
                        deliveries,
                    });
                }
            }
        }
        batch.settle_repeats();
        batch.chunks(self.limits.chunk)
    }
}

impl Planned {
    fn row(&self) -> DispatchRow {
        DispatchRow {
            id: self.checked.dispatch_id,
            is_given: self.checked.is_given,
            event_type: self.checked.event.event_type,
            category: self.checked.event.category,
            subject_id: self.checked.subject_id.clone(),
            org_id: self.checked.org_id.clone(),
            payload: self.checked.payload.stored().to_string(),
            content: self.kept_content().to_string(),
            secrets: self.secrets(),
            dedup_key: self.checked.dedup_key.window.clone(),
            variant: self.checked.dedup_key.variant.clone(),
            window: self.checked.event.dedup.window,
            expires_after: self.checked.event.expires_after,
            trace_context: self.checked.trace_context.clone(),
        }
    }

    /// The content that a dispatch shares with its deliveries.
    fn kept_content(&self) -> serde_json::Value {
        let is_secret = |channel: &str| self.secret_channels().any(|secret| secret == channel);
        let kept = self
            .content
            .iter()
            .filter(|(channel, _)| !is_secret(channel));
        serde_json::json!(kept.collect::<BTreeMap<_, _>>())
    }

    /// The content that each delivery keeps for itself until it ends: by channel, each as text.
    fn secrets(&self) -> Option<String> {
        let hidden = self.checked.payload.hidden()?;
        let secrets = self.secret_channels().filter_map(|channel| {
            let kept = Kept {
                parts: Arc::new(self.content.get(channel)?.clone()),
                hidden: Arc::clone(hidden),
            };
            Some((channel, serde_json::json!(kept).to_string()))
        });
        let secrets: BTreeMap<_, _> = secrets.collect();
        (!secrets.is_empty()).then(|| serde_json::json!(secrets).to_string())
    }

    /// The channels whose content may hold a secret.
    fn secret_channels(&self) -> impl Iterator<Item = &'static str> + '_ {
        let has_secrets = self.checked.payload.hidden().is_some();
        let channels = self.checked.event.channels.iter();
        let secret = channels.filter(move |used| has_secrets && used.channel.shows_secrets());
        secret.map(|used| used.channel.name())
    }

    /// What its deliveries share: their parts by channel, the payload, and the texts of its secret fields.
    fn shared_content(
        &self,
    ) -> (
        HashMap<&'static str, Arc<Parts>>,
        Arc<serde_json::Value>,
        Hidden,
    ) {
        let parts = self.content.iter();
        (
            parts
                .map(|(channel, parts)| (*channel, Arc::new(parts.clone())))
                .collect(),
            Arc::clone(self.checked.payload.stored()),
            self.checked.payload.hidden().cloned().unwrap_or_default(),
        )
    }
}

impl Written {
    /// The deliveries that this process leased in the write, with the content it still holds.
    pub(crate) fn leased(&self, remotes: &Remotes) -> Vec<(&'static str, Delivery)> {
        let mut leased = Vec::with_capacity(self.admission.leased.len());
        if self.admission.leased.is_empty() {
            return leased;
        }
        let contents: HashMap<Uuid, _> = self
            .planned
            .iter()
            .map(|planned| (planned.checked.dispatch_id, planned.shared_content()))
            .collect();
        for chunk in &self.chunks {
            for candidate in &chunk.candidates {
                let row = &chunk.dispatches[candidate.dispatch];
                let (parts, payload, hidden) = &contents[&row.id];
                let has_local = candidate
                    .deliveries
                    .iter()
                    .any(|delivery| !remotes.contains_key(delivery.1));
                for (id, channel) in &candidate.deliveries {
                    if self.admission.leased.contains(id) {
                        let delivery = Delivery {
                            id: *id,
                            notification_id: candidate.notification_id,
                            dispatch_id: row.id,
                            user_id: candidate.user_id.clone(),
                            org_id: row.org_id.clone(),
                            event_type: row.event_type.to_owned(),
                            subject_id: row.subject_id.clone(),
                            category: row.category.to_owned(),
                            attempt: 1,
                            maybe_sent: false,
                            batch_id: None,
                            past: Past {
                                claim: self.claim,
                                has_local,
                                hidden: Arc::clone(hidden),
                                trace_context: row.trace_context.clone(),
                                ..Past::default()
                            },
                            addresses: Vec::new(),
                            parts: Arc::clone(&parts[channel]),
                            payload: Arc::clone(payload),
                        };
                        leased.push((*channel, delivery));
                    }
                }
            }
        }
        leased
    }

    /// Whether there is more to deliver than what was leased.
    pub(crate) fn has_queued(&self, remotes: &Remotes, leased: usize) -> bool {
        let candidates = self.chunks.iter().flat_map(|chunk| &chunk.candidates);
        let admitted = candidates
            .filter(|candidate| self.admission.admitted.contains(&candidate.notification_id));
        let deliveries = admitted.flat_map(|candidate| &candidate.deliveries);
        deliveries
            .filter(|delivery| remotes.contains_key(delivery.1))
            .count()
            > leased
    }
}

/// A new id, ordered by time, that ends with a zero byte.
fn notification_id() -> Uuid {
    delivery_id(Uuid::now_v7(), 0)
}

/// The id of a delivery: the id of its notification with a number in the last byte, so that the deliveries of one notification
/// are adjacent in the index. An event has at most 255 channels.
fn delivery_id(notification_id: Uuid, number: u8) -> Uuid {
    let mut bytes = notification_id.into_bytes();
    bytes[15] = number;
    Uuid::from_bytes(bytes)
}
