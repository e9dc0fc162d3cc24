//! There is one mistake here, so there is one error.

use campanile::Dispatcher;
use campanile::channel::INBOX;
use campanile::event::NotifiableEvent;
use campanile::notifiable_event;

/// A member's role in the organization changed.
#[notifiable_event(
    "org.member.role_changed",
    category = "team",
    channels(INBOX(title = "{{ org_nam }}", body = ".."))
)]
#[derive(Debug, Clone)]
pub struct RoleChanged {
    pub org_name: String,
}

pub async fn tell(dispatcher: &Dispatcher) {
    let event = RoleChanged {
        org_name: "Tower".to_owned(),
    };
    println!("{} {event:?}", RoleChanged::DECLARATION.event_type);
    let report = dispatcher
        .dispatch(event.clone().about("m_1").in_org("o_1").to(["u_1"]))
        .await;
    println!("{:?} {}", report, campanile::serde_json::json!(event));
}

fn main() {}
