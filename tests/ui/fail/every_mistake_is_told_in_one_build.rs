//! Those of the attribute, of the templates, of the channels and of the types; the next event's as well.

use campanile::channel::{self, EMAIL, INBOX, PUSH};
use campanile::notifiable_event;

#[notifiable_event(
    "Org.Member.RoleChanged",
    category = "My Team",
    priority = 5,
    dedup(window = "60", by(subject, new_rol, score)),
    expires_after = "0s",
    channels(
        INBOX(
            title = "{{ org_nam }}",
            body = "{{ new_role | uper }} {% if actor is defind %}{{ actor }}{% endif %}",
            sound = "ding",
        ),
        EMAIL(subjct = "{{ org_name ", html = file("templates/no_such_file.html")),
        PUHS(title = "{{ org_name }}", body = "{{ new_role }}"),
        channel::EMAIL(subject = "{{ org_name }}", html = "{{ new_role }}"),
    ),
    critical = PUSH,
)]
pub struct RoleChanged {
    pub org_name: String,
    #[serde(rename = "role")]
    pub new_role: String,
    pub score: f64,
}

/// An invoice is overdue.
#[notifiable_event(
    "billing.invoice.past_due",
    category = "billing",
    channels(INBOX(title = "{{ number }}"))
)]
pub struct PastDue {
    pub number: u64,
}

fn main() {}
