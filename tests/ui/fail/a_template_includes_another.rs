//! A template is a single text.

use campanile::channel::{EMAIL, INBOX};
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(
        INBOX(
            title = "{% include 'title.txt' %}",
            body = "{% import 'words.txt' as words %}"
        ),
        EMAIL(subject = "{{ org_name }}", html = "{% extends 'layout.html' %}"),
    )
)]
pub struct RoleChanged {
    pub org_name: String,
    pub new_role: String,
}

fn main() {
    let _ = [EMAIL, INBOX];
}
