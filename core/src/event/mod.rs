//! An **event** declaration: its type, its templates for each channel, its category, its dedup window.
//!
//! Everything here is const data, written by [`notifiable_event`](crate::notifiable_event) and read by all other modules.
//! A declaration knows nothing of databases, and no channel by name.

pub(crate) mod payload;
pub(crate) mod secret;
pub(crate) mod stored;
pub(crate) mod notice;
pub mod recipient;
#[doc(hidden)]
pub mod declare;
pub(crate) mod suggest;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::channel::ChannelDeclaration;
use crate::event::notice::{Draft, Notice};

pub use self::payload::{
    MAX_PAYLOAD, MAX_PAYLOAD_DEPTH, MAX_STORED_PAYLOAD, Payload, PayloadError,
};
pub use crate::location::Location;

/// The window of an event that declares none.
pub const DEFAULT_WINDOW: Duration = Duration::from_mins(1);

/// The longest window an event may declare, and the longest time until it expires: a year.
pub const MAX_WINDOW: Duration = Duration::from_hours(366 * 24);

/// A type of event that users are notified of.
///
/// Implemented by [`#[notifiable_event]`](macro@crate::notifiable_event); the struct's fields are the payload.
/// The methods start a [`Notice`], which a call site gives to
/// [`Dispatcher::dispatch`](crate::Dispatcher::dispatch). Until it names recipients it is a [`Draft`], which no dispatcher takes.
///
/// # Examples
///
/// ```
/// use campanile::{NotifiableEvent, channel::INBOX, notifiable_event};
///
/// /// Somebody invited you.
/// #[notifiable_event(
///     "org.invitation.sent",
///     category = "team",
///     channels(INBOX(title = "Join {{ org_name }}", body = "{{ inviter }} invited you.")),
/// )]
/// struct Invited {
///     org_name: String,
///     inviter: String,
/// }
///
/// assert_eq!(Invited::DECLARATION.description, "Somebody invited you.");
/// let event = Invited { org_name: "Tower".into(), inviter: "Bob".into() };
/// let notice = event.about("invitation_7").in_org("org_1").to(["u_ada"]);
/// # let _ = notice;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a notifiable event",
    label = "no event is declared for this type",
    note = "declare it: put `#[campanile::notifiable_event(\"domain.entity.action\", category = \"..\", channels(..))]` on the struct"
)]
pub trait NotifiableEvent: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What was declared in the attribute.
    const DECLARATION: &'static EventDeclaration;

    /// Names what the event is about: the id of the member, invoice or invitation.
    ///
    /// The subject is part of the dedup key unless the event says otherwise. If it is and none is named, the payload
    /// takes its place.
    fn about(self, subject_id: impl ToString) -> Draft {
        Draft::of(&self).about(subject_id)
    }

    /// Names the organization in which it happened.
    fn in_org(self, org_id: impl ToString) -> Draft {
        Draft::of(&self).in_org(org_id)
    }

    /// Names the recipients. Repeated ids count once; an empty list is allowed.
    fn to<I>(self, recipients: I) -> Notice
    where
        I: IntoIterator,
        I::Item: ToString,
    {
        Draft::of(&self).to(recipients)
    }
}

/// What an event's author wrote, as const data.
#[derive(Debug)]
pub struct EventDeclaration {
    /// The stable identity, `domain.entity.action`.
    pub event_type: &'static str,
    /// The doc comment: what a user reads on the preferences page.
    pub description: &'static str,
    /// The category, which a user mutes as a whole.
    pub category: &'static str,
    /// Former event types that an [`EventRequest`](crate::EventRequest) may still name.
    pub aliases: &'static [&'static str],
    /// The window within which two dispatches with the same key are one notification.
    pub dedup: Dedup,
    /// How long after its dispatch a remote delivery is still worth sending; `None` means that it never expires.
    pub expires_after: Option<Duration>,
    /// The channels it goes to, each with its templates.
    pub channels: &'static [ChannelUse],
    /// The channel that preferences cannot remove.
    pub critical: Option<&'static ChannelDeclaration>,
    /// The struct's fields: the keys of the payload, the variables of the templates.
    pub fields: &'static [&'static str],
    /// The fields that only [channels which show secrets](ChannelDeclaration::showing_secrets) may use, and that are stored only with their deliveries.
    pub secrets: &'static [&'static str],
    /// An example event, with which the templates are rendered once at start-up.
    pub example: Option<fn() -> Result<Payload, PayloadError>>,
    /// Where it is declared.
    pub location: Location,
    /// Reads an untyped payload as the declared struct.
    #[doc(hidden)]
    pub read: fn(serde_json::Value) -> Result<Payload, PayloadError>,
}

impl EventDeclaration {
    /// The templates for one channel, if the event goes there.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&ChannelUse> {
        self.channels
            .iter()
            .find(|used| used.channel.name() == name)
    }

    /// Whether preferences cannot remove this channel.
    #[must_use]
    pub fn is_critical(&self, channel: &str) -> bool {
        self.weight(channel) == Weight::Critical
    }

    /// Whether preferences can remove this channel.
    #[must_use]
    pub fn weight(&self, channel: &str) -> Weight {
        match self.critical {
            Some(critical) if critical.name() == channel => Weight::Critical,
            _ => Weight::Ordinary,
        }
    }
}

/// Whether an event lets preferences remove one of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_enums,
    reason = "a channel of an event is critical or it is not"
)]
pub enum Weight {
    /// Preferences decide.
    Ordinary,
    /// Preferences cannot remove it.
    Critical,
}

/// The window within which the same (event type, key, recipient) is one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dedup {
    /// How long; zero means that nothing is ever a repeat.
    pub window: Duration,
    /// The parts of the key, in order: `"subject"` is the subject id, or the payload of a notice without one; every other
    /// name is a field.
    pub by: &'static [&'static str],
    /// What ends the window.
    pub until: Until,
}

/// What ends a window. Until then a dispatch with its key is a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Until {
    /// Its time.
    Elapsed,
    /// Its time, or the admission of another key of the same event, subject and recipient: a value that changes and changes
    /// back is notified both times.
    Changed,
}

/// One channel of an event, with the templates of its parts.
#[derive(Debug)]
pub struct ChannelUse {
    /// The channel's declaration.
    pub channel: &'static ChannelDeclaration,
    /// The templates, in the order they were written.
    pub templates: &'static [Template],
}

/// The template of one part of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// Which part of the channel it fills, `subject` for example.
    pub part: &'static str,
    /// The template's text, in minijinja's syntax.
    pub source: &'static str,
}

/// What a category means to the user who may mute it, for the preferences page.
///
/// Registered with [`describe_category!`](crate::describe_category).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CategoryDeclaration {
    /// The category, as events name it.
    pub name: &'static str,
    /// What it is about, in the user's words.
    pub description: &'static str,
    /// Where it is described.
    pub location: Location,
}

/// Describes a category for the preferences page.
///
/// ```
/// campanile::describe_category!("team", "People and roles in your organization");
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! describe_category {
    ($name:literal, $description:literal) => {
        $crate::__private::inventory::submit! {
            $crate::event::CategoryDeclaration {
                name: $name,
                description: $description,
                location: $crate::here!(),
            }
        }
    };
}

/// An event as `inventory` collects it.
#[doc(hidden)]
#[derive(Debug)]
pub struct RegisteredEvent(pub &'static EventDeclaration);

inventory::collect!(RegisteredEvent);
inventory::collect!(CategoryDeclaration);
