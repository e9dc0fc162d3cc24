//! The events of the tests: those of the worked cases, and one for the fourth channel.

use campanile::channel::{EMAIL, INBOX, PUSH};
use campanile::notifiable_event;
use campanile_pigeon::PIGEON;
use serde::{Deserialize, Serialize};

campanile::describe_category!("team", "People and roles in your organization");

/// A role in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Role {
    Member,
    Admin,
    Owner,
}

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(window = "60s", by(subject, new_role)),
    channels(
        INBOX(
            title = "Your role in {{ org_name }} changed",
            body = "{{ actor_name }} changed your role from {{ before }} to {{ new_role }}.",
        ),
        EMAIL(
            subject = "Your role is now {{ new_role }}",
            html = "<p>{{ actor_name }} changed your role in <b>{{ org_name }}</b> to {{ new_role }}.</p>",
        ),
    ),
    aliases("org.member.changed_role")
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RoleChanged {
    pub org_name: String,
    pub actor_name: String,
    pub before: Role,
    pub new_role: Role,
}

/// A gate is open, ajar or shut.
#[notifiable_event(
    "loft.gate.moved",
    category = "loft",
    dedup(window = "60s", by(subject, position), until = changed),
    channels(
        INBOX(title = "The gate is {{ position }}", body = "-"),
        PIGEON(scroll = "{{ position }}"),
    )
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct GateMoved {
    pub position: String,
}

/// A payment is overdue.
#[notifiable_event(
    "org.billing.past_due",
    category = "billing",
    channels(
        INBOX(
            title = "Payment overdue",
            body = "{{ amount }} is overdue{% if due %} since {{ due }}{% endif %}.",
            action_url = "{{ pay_url }}",
        ),
        EMAIL(
            subject = "Payment overdue: {{ amount }}",
            html = "<p><a href=\"{{ pay_url }}\">Pay {{ amount }}</a></p>",
            text = "Pay {{ amount }}: {{ pay_url }}",
        ),
    ),
    critical = EMAIL,
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PastDue {
    pub amount: String,
    pub due: Option<String>,
    pub pay_url: String,
}

/// Somebody changed the password.
#[notifiable_event(
    "auth.password.changed",
    category = "security",
    dedup(window = "0s"),
    channels(
        INBOX(title = "Password changed", body = "From {{ device.name }}."),
        EMAIL(subject = "Password changed", html = "<p>From {{ device.name }}.</p>"),
        PUSH(title = "Password changed", body = "From {{ device.name }}."),
    ),
    critical = EMAIL,
    example = PasswordChanged { device: Device { name: "laptop".into() } },
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PasswordChanged {
    pub device: Device,
}

/// A device, nested in an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Device {
    pub name: String,
}

/// A pigeon is expected.
#[notifiable_event(
    "loft.pigeon.expected",
    category = "loft",
    channels(
        INBOX(title = "{{ title }}", body = "{{ text }}"),
        PIGEON(scroll = "{{ text }}", perch = "{{ title }}"),
    )
)]
#[derive(Debug, Clone, Default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PigeonExpected {
    pub title: String,
    pub text: String,
}

/// A measurement that may not be finite, keyed by an enum that may hold data.
#[notifiable_event(
    "lab.value.measured",
    category = "loft",
    dedup(by(unit)),
    channels(INBOX(title = "{{ value }}", body = "{{ notes | join(', ') }}"))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Measured {
    pub value: f64,
    pub notes: Vec<String>,
    pub unit: Unit,
}

/// A unit of measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Unit {
    Metre,
    Other(String),
}

/// A list was read; its first entry is the title, and there may be none.
#[notifiable_event(
    "lab.list.read",
    category = "loft",
    channels(INBOX(title = "{{ names[0].text }}", body = "-"))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Listed {
    pub names: Vec<String>,
}

/// A list was shared; the mail names its first entry, and cannot be rendered without one.
#[notifiable_event(
    "lab.list.shared",
    category = "loft",
    channels(
        INBOX(title = "A list of {{ names | length }}", body = "-"),
        EMAIL(subject = "{{ names[0] }}", html = "<p>{{ names | join(', ') }}</p>"),
    )
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ListShared {
    pub names: Vec<String>,
}

/// A report was shared, with a note; the mail links to it.
#[notifiable_event(
    "lab.report.shared",
    category = "loft",
    channels(
        INBOX(title = "{{ title }}", body = "{{ note }}"),
        EMAIL(
            subject = "{{ title }}",
            html = "<p>{{ note }}</p><p><a href=\"{{ link }}\">{{ title }}</a></p>",
        ),
    )
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct ReportShared {
    pub title: String,
    pub note: String,
    pub link: String,
}

/// A pigeon brings it, and nothing else does.
#[notifiable_event(
    "loft.pigeon.alone",
    category = "loft",
    channels(PIGEON(scroll = "{{ text }}"))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct PigeonAlone {
    pub text: String,
}

/// A pigeon brings it within the hour, or not at all.
#[notifiable_event(
    "loft.seed.offered",
    category = "loft",
    expires_after = "1h",
    channels(PIGEON(scroll = "{{ text }}"))
)]
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names say it")]
pub struct SeedOffered {
    pub text: String,
}

/// By mail and on every device.
#[notifiable_event(
    "loft.door.opened",
    category = "loft",
    channels(
        EMAIL(subject = "The door is open", html = "<p>It is.</p>"),
        PUSH(title = "The door is open", body = "It is."),
    )
)]
#[derive(Debug, Clone)]
pub struct MailOrPush {}
