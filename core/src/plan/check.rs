//! **Checks** a notice: its event is looked up, and everything in it is validated, before any I/O.

use std::borrow::Cow;
use std::collections::HashSet;

use uuid::Uuid;

use crate::error::DispatchError;
use crate::event::EventDeclaration;
use crate::event::notice::{Content, Notice};
use crate::event::payload::{Payload, PayloadError};
use crate::event::recipient;
use crate::event::suggest::shown;
use crate::plan::dedup::{self, Key};
use crate::plan::planner::Planner;

/// A notice that was looked up and validated, after steps 1 and 2.
pub(crate) struct Checked {
    pub(crate) dispatch_id: Uuid,
    /// Whether the caller gave the id.
    pub(crate) is_given: bool,
    pub(crate) event: &'static EventDeclaration,
    pub(crate) payload: Payload,
    pub(crate) dedup_key: Key,
    pub(crate) subject_id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) recipients: Vec<String>,
    pub(crate) repeated_ids: usize,
    /// The trace in which it was fired.
    pub(crate) trace_context: Option<String>,
}

impl Planner {
    /// Steps 1 and 2 of several notices.
    pub(crate) fn check_all(
        &self,
        notices: impl IntoIterator<Item = Notice>,
        trace_context: Option<&str>,
    ) -> Result<Vec<Checked>, DispatchError> {
        let mut given = HashSet::new();
        let mut all = Vec::new();
        for notice in notices {
            let checked = self.check(notice, trace_context)?;
            if checked.is_given && !given.insert(checked.dispatch_id) {
                return Err(DispatchError::RepeatedDispatchId(checked.dispatch_id));
            }
            all.push(checked);
        }
        Ok(all)
    }

    /// Steps 1 and 2: look up and validate, before any use of the database.
    pub(crate) fn check(
        &self,
        notice: Notice,
        trace_context: Option<&str>,
    ) -> Result<Checked, DispatchError> {
        let (event, payload) = self.look_up(notice.content)?;
        for (field, id) in [
            ("subject_id", &notice.subject_id),
            ("org_id", &notice.org_id),
        ] {
            if let Some(id) = id {
                recipient::check(field, id)?;
            }
        }
        let (given, max) = (notice.recipients.len(), self.max_recipients);
        if given > max {
            return Err(DispatchError::TooManyRecipients { given, max });
        }
        let (recipients, repeated_ids) = recipient::distinct(notice.recipients)?;
        let dedup_key = dedup::key(event, notice.subject_id.as_deref(), &payload);
        Ok(Checked {
            is_given: notice.dispatch_id.is_some(),
            dispatch_id: notice.dispatch_id.unwrap_or_else(Uuid::now_v7),
            event,
            payload,
            dedup_key,
            subject_id: notice.subject_id,
            org_id: notice.org_id,
            recipients,
            repeated_ids,
            trace_context: trace_context.map(str::to_owned),
        })
    }

    fn look_up(
        &self,
        content: Content,
    ) -> Result<(&'static EventDeclaration, Payload), DispatchError> {
        let event_type: Cow<'static, str> = match &content {
            Content::Typed { event, .. } => event.event_type.into(),
            Content::Untyped { event_type, .. } => event_type.clone().into(),
        };
        let Some(event) = self.registry.event(&event_type) else {
            let suggestion = self.registry.suggest(&event_type).map(str::to_owned);
            let event_type = shown(&event_type);
            tracing::warn!(
                target: "campanile",
                event_type,
                "dispatch rejected: no such event is registered"
            );
            return Err(DispatchError::RegistryMiss {
                event_type,
                suggestion,
            });
        };
        match content {
            Content::Typed { payload, .. } => payload,
            Content::Untyped { payload, .. } => (event.read)(payload),
        }
        .map(|payload| (event, payload))
        .map_err(|reason| invalid_payload(event.event_type, reason))
    }
}

pub(crate) fn invalid_payload(event_type: &str, reason: PayloadError) -> DispatchError {
    DispatchError::InvalidPayload {
        event_type: event_type.to_owned(),
        reason,
    }
}
