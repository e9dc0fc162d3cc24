//! The **events** of the tour: four events, as an app would declare them.
//!
//! They declare their texts and channels, and do not depend on the inspector.

use campanile::channel::{EMAIL, INBOX, PUSH};
use campanile::{describe_category, notifiable_event};
use serde::{Deserialize, Serialize};

describe_category!("team", "People and roles in your organization");
describe_category!("billing", "Invoices and payments");
describe_category!("security", "Signing in, and the safety of your account");

/// What a member may do in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::exhaustive_enums,
    reason = "the roles of an app that is only a tour"
)]
pub enum Role {
    /// May do everything, including closing the organization.
    Owner,
    /// May do everything except closing the organization.
    Admin,
    /// May work in it.
    Member,
    /// May only read.
    Viewer,
}

/// Somebody invites you to an organization.
#[notifiable_event(
    "org.invitation.sent",
    category = "team",
    dedup(window = "60s", by(subject)),
    // A mail that is a day late states a wrong number of days.
    expires_after = "1d",
    channels(
        INBOX(
            title = "{{ inviter_name }} invites you to {{ org_name }}",
            body = "You would join as {{ role }}. The invitation is open for {{ open_days }} {{ 'day' if open_days == 1 else 'days' }}.",
            action_url = "/invitations",
        ),
        EMAIL(
            subject = "{{ inviter_name }} invites you to {{ org_name }}",
            html = file("emails/invitation_sent.html"),
        ),
    ),
)]
#[derive(Debug, Clone)]
pub struct InvitationSent {
    /// The organization's display name.
    pub org_name: String,
    /// Who invites.
    pub inviter_name: String,
    /// The role the invited person would have.
    pub role: Role,
    /// For how many days the invitation can be accepted.
    pub open_days: u32,
}

/// Your role in an organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(window = "60s", by(subject, new_role), until = changed),
    channels(
        INBOX(
            title = "Your role in {{ org_name }} changed",
            body = "{{ actor_name }} changed your role from {{ before }} to {{ new_role }}.",
            action_url = "/org/members",
        ),
        EMAIL(
            subject = "Your role in {{ org_name }} is now {{ new_role }}",
            html = file("emails/role_changed.html"),
        ),
    ),
)]
#[derive(Debug, Clone)]
pub struct RoleChanged {
    /// The organization's display name.
    pub org_name: String,
    /// Who changed the role.
    pub actor_name: String,
    /// The old role.
    pub before: Role,
    /// The new role. Part of the dedup key: promoted and then demoted are two notifications, and promoted again is a third.
    pub new_role: Role,
}

/// An invoice of your organization is past due.
#[notifiable_event(
    "org.billing.past_due",
    category = "billing",
    dedup(window = "60s", by(subject)),
    channels(
        INBOX(
            title = "Invoice {{ invoice_number }} is past due",
            body = "{{ org_name }} owes {{ amount_due }}, due {{ days_overdue }} {{ 'day' if days_overdue == 1 else 'days' }} ago.",
            action_url = "/org/billing",
        ),
        EMAIL(
            subject = "{{ org_name }}: invoice {{ invoice_number }} is past due",
            html = file("emails/past_due.html"),
        ),
    ),
    critical = EMAIL,
)]
#[derive(Debug, Clone)]
pub struct BillingPastDue {
    /// The organization that has to pay.
    pub org_name: String,
    /// The number of the invoice, as printed on it.
    pub invoice_number: String,
    /// The amount with its currency, as the customer reads it.
    pub amount_due: String,
    /// For how many days the invoice has been due.
    pub days_overdue: u32,
}

/// The password of your account changed.
#[notifiable_event(
    "auth.password.changed",
    category = "security",
    dedup(window = "60s", by(subject)),
    channels(
        INBOX(
            title = "Your password was changed",
            body = "On {{ device }}, near {{ place }}. If this was not you, set a new password now.",
            action_url = "/account/security",
        ),
        EMAIL(
            subject = "Your password was changed",
            html = file("emails/password_changed.html"),
            text = "Your password was changed on {{ device }}, near {{ place }}.\n\nIf this was you, there is nothing to do.\nIf it was not, set a new password now and sign out of all devices:\nhttps://tower.example/account/security\n",
        ),
        PUSH(
            title = "Your password was changed",
            body = "On {{ device }}, near {{ place }}. Not you? Open the app now.",
            action_url = "/account/security",
        ),
    ),
    critical = EMAIL,
)]
#[derive(Debug, Clone)]
pub struct PasswordChanged {
    /// The browser or app with which it was changed.
    pub device: String,
    /// The approximate place.
    pub place: String,
}
