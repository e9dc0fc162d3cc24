//! A **notice** is what a call site dispatches: an event, its subject and its recipients.
//!
//! It is only data. Who is notified, and on which channels, is the dispatcher's decision.

use std::fmt;

use serde::Deserialize;
use uuid::Uuid;

use crate::event::payload::{Payload, PayloadError};
use crate::event::{EventDeclaration, NotifiableEvent};

/// One event with its subject, its organization and its recipients, ready to be dispatched.
///
/// Made by the methods of [`NotifiableEvent`], or from an [`EventRequest`].
#[derive(Debug, Clone)]
#[must_use = "a notice reaches nobody until it is given to a dispatcher"]
pub struct Notice {
    pub(crate) content: Content,
    pub(crate) subject_id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) recipients: Vec<String>,
    pub(crate) dispatch_id: Option<Uuid>,
}

/// What a notice is about: a typed event, or an event type and JSON that have yet to be checked.
#[derive(Clone)]
pub(crate) enum Content {
    Typed {
        event: &'static EventDeclaration,
        payload: Result<Payload, PayloadError>,
    },
    Untyped {
        event_type: String,
        payload: serde_json::Value,
    },
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event_type = match self {
            Self::Typed { event, .. } => event.event_type,
            Self::Untyped { event_type, .. } => event_type,
        };
        write!(f, "{event_type}(..)")
    }
}

/// A notice that names no recipients yet. [`to`](Draft::to) makes a [`Notice`] of it, and only a notice can be dispatched.
///
/// Made by [`NotifiableEvent::about`] and [`NotifiableEvent::in_org`]. This does not compile, because it would notify nobody:
///
/// ```compile_fail,E0277
/// async fn tell(dispatcher: &campanile::Dispatcher, draft: campanile::Draft) {
///     let _ = dispatcher.dispatch(draft).await;
/// }
/// ```
///
/// And this does:
///
/// ```
/// async fn tell(dispatcher: &campanile::Dispatcher, draft: campanile::Draft) {
///     let _ = dispatcher.dispatch(draft.to(["u_ada"])).await;
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a draft names no recipients: add `.to([user_id])`, and give it to a dispatcher"]
pub struct Draft(Notice);

impl Draft {
    pub(crate) fn of<E: NotifiableEvent>(event: &E) -> Self {
        Self(Notice {
            content: Content::Typed {
                event: E::DECLARATION,
                payload: Payload::of(event, E::DECLARATION.secrets),
            },
            subject_id: None,
            org_id: None,
            recipients: Vec::new(),
            dispatch_id: None,
        })
    }

    /// Names what the event is about: the id of the member, invoice or invitation.
    pub fn about(self, subject_id: impl ToString) -> Self {
        Self(self.0.about(subject_id))
    }

    /// Names the organization in which it happened.
    pub fn in_org(self, org_id: impl ToString) -> Self {
        Self(self.0.in_org(org_id))
    }

    /// Names the recipients. Repeated ids count once; an empty list is allowed.
    pub fn to<I>(self, recipients: I) -> Notice
    where
        I: IntoIterator,
        I::Item: ToString,
    {
        self.0.to(recipients)
    }
}

impl Notice {
    /// Names what the event is about: the id of the member, invoice or invitation.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "ids are at hand by value or by reference"
    )]
    pub fn about(mut self, subject_id: impl ToString) -> Self {
        self.subject_id = Some(subject_id.to_string());
        self
    }

    /// Names the organization in which it happened.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "ids are at hand by value or by reference"
    )]
    pub fn in_org(mut self, org_id: impl ToString) -> Self {
        self.org_id = Some(org_id.to_string());
        self
    }

    /// Gives the dispatch an id of the caller's, so that it can be repeated safely: one id is written once, whatever windows say.
    /// A repeat is reported as deduped. A later call with the same id counts as a repeat even if its content differs.
    ///
    /// Use it where a call may run twice: after [`DispatchError::CommitUnknown`](crate::DispatchError::CommitUnknown), from a queue, a webhook
    /// or a script. An id derived from the cause is enough, `Uuid::new_v5` of a request's id for example. Ids are
    /// kept as long as finished deliveries are; see [`Retention`](crate::deliver::prune::Retention).
    pub const fn dispatch_id(mut self, id: Uuid) -> Self {
        self.dispatch_id = Some(id);
        self
    }

    /// Adds recipients. Repeated ids count once.
    pub fn to<I>(mut self, recipients: I) -> Self
    where
        I: IntoIterator,
        I::Item: ToString,
    {
        self.recipients
            .extend(recipients.into_iter().map(|id| id.to_string()));
        self
    }
}

/// An untyped notice: an event by the name of its type, for HTTP, a command line or a test.
///
/// An unknown type is [`DispatchError::RegistryMiss`](crate::DispatchError::RegistryMiss), a payload that does not fit the struct
/// [`DispatchError::InvalidPayload`](crate::DispatchError::InvalidPayload). In JSON its keys are camelCase, the payload's keys are the
/// names of the struct's fields:
///
/// ```
/// let request: campanile::EventRequest = serde_json::from_str(
///     r#"{ "type": "org.member.role_changed", "recipientUserIds": ["u_1"], "subjectId": "m_7",
///          "payload": { "org_name": "Tower" } }"#,
/// )?;
/// assert_eq!(request.event_type, "org.member.role_changed");
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// Its `Debug` shows no payload: which fields are secret is known only once the event is looked up.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventRequest {
    /// The event's type, or one of its aliases.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The recipients. Required; an empty list is allowed.
    pub recipient_user_ids: Vec<String>,
    /// What the event is about.
    #[serde(default)]
    pub subject_id: Option<String>,
    /// The organization in which it happened.
    #[serde(default)]
    pub org_id: Option<String>,
    /// The event's fields.
    #[serde(default)]
    pub payload: serde_json::Value,
    /// An id of the caller's, under which the dispatch is written once. See [`Notice::dispatch_id`].
    #[serde(default)]
    pub dispatch_id: Option<Uuid>,
}

impl fmt::Debug for EventRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventRequest")
            .field("event_type", &self.event_type)
            .field("recipient_user_ids", &self.recipient_user_ids)
            .field("subject_id", &self.subject_id)
            .field("org_id", &self.org_id)
            .field("dispatch_id", &self.dispatch_id)
            .finish_non_exhaustive()
    }
}

impl From<EventRequest> for Notice {
    fn from(request: EventRequest) -> Self {
        Self {
            content: Content::Untyped {
                event_type: request.event_type,
                payload: match request.payload {
                    serde_json::Value::Null => serde_json::json!({}),
                    payload => payload,
                },
            },
            subject_id: request.subject_id,
            org_id: request.org_id,
            recipients: request.recipient_user_ids,
            dispatch_id: request.dispatch_id,
        }
    }
}
