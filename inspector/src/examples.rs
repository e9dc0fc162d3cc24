//! An **example** of each event: a complete `EventRequest`, to be edited on the page or posted by a script.

use campanile::NotifiableEvent;
use serde_json::{Value, json};

use crate::events::{BillingPastDue, InvitationSent, PasswordChanged, Role, RoleChanged};
use crate::people::{ADA, ORGANIZATION};

/// The example of an event type of the tour.
pub(crate) fn example(event_type: &str) -> Option<Value> {
    all()
        .into_iter()
        .find(|example| example["type"] == event_type)
}

fn all() -> [Value; 4] {
    [
        request(
            "inv_1042",
            &InvitationSent {
                org_name: ORGANIZATION.name.into(),
                inviter_name: "Ben Lindqvist".into(),
                role: Role::Member,
                open_days: 7,
            },
        ),
        request(
            "mem_7",
            &RoleChanged {
                org_name: ORGANIZATION.name.into(),
                actor_name: "Ben Lindqvist".into(),
                before: Role::Member,
                new_role: Role::Admin,
            },
        ),
        request(
            "in_2026_0117",
            &BillingPastDue {
                org_name: ORGANIZATION.name.into(),
                invoice_number: "2026-0117".into(),
                amount_due: "€ 249.00".into(),
                days_overdue: 6,
            },
        ),
        request(
            ADA.id,
            &PasswordChanged {
                device: "Firefox on Linux".into(),
                place: "Gothenburg, Sweden".into(),
            },
        ),
    ]
}

fn request<E: NotifiableEvent>(subject_id: &str, payload: &E) -> Value {
    json!({
        "type": E::DECLARATION.event_type,
        "recipientUserIds": [ADA.id],
        "subjectId": subject_id,
        "orgId": ORGANIZATION.id,
        "payload": payload,
    })
}
