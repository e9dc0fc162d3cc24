//! The payload is data: what a user has typed is never markup.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        INBOX(
            title = "{{ org_name }}",
            body = "{% filter upper | safe %}{{ new_role }}{% endfilter %}"
        ),
        EMAIL(
            subject = "{# safe #}Your role in {{ org_name }}",
            html = "{{ org_name | safe }}{% autoescape false %}{{ new_role }}{% endautoescape %}"
        ),
    )
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
