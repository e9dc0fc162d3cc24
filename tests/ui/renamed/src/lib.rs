//! A crate of events that knows campanile as `bell`, and has no other dependency.

use bell::channel::INBOX;
use bell::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    dedup(by(subject, new_role)),
    channels(INBOX(title = "You are {{ new_role }}", body = "{{ org_name }}")),
    critical = INBOX
)]
#[derive(Debug, Clone)]
pub struct RoleChanged {
    /// Where it changed.
    pub org_name: String,
    /// What it is now.
    pub new_role: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use bell::event::NotifiableEvent as _;

    #[test]
    fn an_event_works_under_another_name_of_campanile() {
        let declared = RoleChanged::DECLARATION;
        assert_eq!(declared.event_type, "org.member.role_changed");
        assert_eq!(declared.location.krate, "campanile-ui-renamed");
        let payload = bell::serde_json::json!({ "org_name": "Tower", "new_role": "admin" });
        assert!((declared.read)(payload).is_ok());
        let event = RoleChanged {
            org_name: "Tower".to_owned(),
            new_role: "admin".to_owned(),
        };
        assert!(
            format!("{:?}", event.about("m_1").to(["u_1"])).contains("org.member.role_changed")
        );
    }
}
