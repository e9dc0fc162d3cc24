//! An **event** in the model: the properties that the guarantees depend on, and the notice that fires it.

use campanile::{Notice, NotifiableEvent as _};
use campanile_tests::App;
use campanile_tests::events::{MailOrPush, PigeonAlone, PigeonExpected, Role};

/// The people, by number.
pub(super) const USERS: [&str; 4] = ["u_ada", "u_bob", "u_cyd", "u_eve"];

/// The subjects of the events, by number.
pub(super) const SUBJECTS: [&str; 2] = ["tower", "bell"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    Inbox,
    Email,
    Pigeon,
    Push,
}

/// The channels that talk to the outside world.
pub(super) const REMOTE: [Channel; 3] = [Channel::Email, Channel::Pigeon, Channel::Push];

impl Channel {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Email => "email",
            Self::Pigeon => "pigeon",
            Self::Push => "push",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    BecameAdmin,
    BecameOwner,
    PastDue,
    PasswordChanged,
    PigeonAlone,
    PigeonExpected,
    MailOrPush,
}

impl Event {
    pub(super) const ALL: [Self; 7] = [
        Self::BecameAdmin,
        Self::PigeonAlone,
        Self::MailOrPush,
        Self::PastDue,
        Self::BecameOwner,
        Self::PigeonExpected,
        Self::PasswordChanged,
    ];

    pub(super) const fn event_type(self) -> &'static str {
        match self {
            Self::BecameAdmin | Self::BecameOwner => "org.member.role_changed",
            Self::PastDue => "org.billing.past_due",
            Self::PasswordChanged => "auth.password.changed",
            Self::PigeonAlone => "loft.pigeon.alone",
            Self::PigeonExpected => "loft.pigeon.expected",
            Self::MailOrPush => "loft.door.opened",
        }
    }

    pub(super) const fn category(self) -> &'static str {
        match self {
            Self::BecameAdmin | Self::BecameOwner => "team",
            Self::PastDue => "billing",
            Self::PasswordChanged => "security",
            Self::PigeonAlone | Self::PigeonExpected | Self::MailOrPush => "loft",
        }
    }

    pub(super) const fn channels(self) -> &'static [Channel] {
        match self {
            Self::BecameAdmin | Self::BecameOwner | Self::PastDue => {
                &[Channel::Inbox, Channel::Email]
            }
            Self::PasswordChanged => &[Channel::Inbox, Channel::Email, Channel::Push],
            Self::PigeonAlone => &[Channel::Pigeon],
            Self::PigeonExpected => &[Channel::Inbox, Channel::Pigeon],
            Self::MailOrPush => &[Channel::Email, Channel::Push],
        }
    }

    /// Whether preferences cannot remove the channel.
    pub(super) fn is_critical(self, channel: Channel) -> bool {
        matches!(self, Self::PastDue | Self::PasswordChanged) && channel == Channel::Email
    }

    /// In seconds; `None` if nothing is a repeat.
    pub(super) fn window(self) -> Option<i64> {
        match self {
            Self::PasswordChanged => None,
            Self::BecameAdmin | Self::BecameOwner => Some(60),
            _ => i64::try_from(campanile::event::DEFAULT_WINDOW.as_secs()).ok(),
        }
    }

    pub(super) fn dedup_key(self, subject: usize) -> String {
        let subject = SUBJECTS[subject];
        match self {
            Self::BecameAdmin => format!("{subject}:admin"),
            Self::BecameOwner => format!("{subject}:owner"),
            _ => subject.to_owned(),
        }
    }

    pub(super) fn notice(self, app: &App, subject: usize, recipients: &[usize]) -> Notice {
        let (about, to) = (
            SUBJECTS[subject],
            recipients.iter().map(|user| USERS[*user]),
        );
        match self {
            Self::BecameAdmin => app.role_changed(Role::Admin).about(about).to(to),
            Self::BecameOwner => app.role_changed(Role::Owner).about(about).to(to),
            Self::PastDue => app.past_due().about(about).to(to),
            Self::PasswordChanged => app.password_changed().about(about).to(to),
            Self::PigeonAlone => PigeonAlone { text: "x".into() }.about(about).to(to),
            Self::PigeonExpected => PigeonExpected::default().about(about).to(to),
            Self::MailOrPush => MailOrPush {}.about(about).to(to),
        }
    }
}
