//! Untyped dispatches: an event by its name, for HTTP and command lines, through the same planner.

use campanile::{DispatchError, EventRequest, NotifiableEvent as _};
use campanile_tests::events::Role;
use campanile_tests::{App, both_databases};
use serde_json::{Value, json};

fn request(event_type: &str, payload: impl Into<Value>) -> EventRequest {
    serde_json::from_value(json!({
        "type": event_type, "recipientUserIds": ["u_ada"], "subjectId": "m_1", "payload": payload.into(),
    }))
    .unwrap()
}

fn payload() -> Value {
    json!({ "org_name": "Tower", "actor_name": "Bob", "before": "member", "new_role": "admin" })
}

both_databases! {
    async fn an_untyped_call_reports_the_same_as_the_typed_one(app: App) {
        let report = app.dispatcher.dispatch(request("org.member.role_changed", payload())).await.unwrap();
        assert_eq!(report.sent, 2);
        // The typed call is in the window that the untyped one opened.
        let typed = app.role_changed(Role::Admin).about("m_1").to(["u_ada"]);
        assert_eq!(app.dispatcher.dispatch(typed).await.unwrap().deduped, 1);
        assert_eq!(app.inbox("u_ada").await[0].payload, payload());
    }

    async fn an_alias_is_resolved_to_the_events_current_name(app: App) {
        let _ = app.dispatcher.dispatch(request("org.member.changed_role", payload())).await.unwrap();
        assert_eq!(app.inbox("u_ada").await[0].event_type, "org.member.role_changed");
    }

    async fn a_payload_that_does_not_fit_names_the_field(app: App) {
        let without = |field: &str| {
            let mut payload = payload();
            payload.as_object_mut().unwrap().remove(field);
            payload
        };
        let with = |field: &str, value: Value| {
            let mut payload = payload();
            payload[field] = value;
            payload
        };
        for (payload, text) in [
            (without("org_name"), "missing field `org_name`"),
            (with("new_role", json!("emperor")), "field `new_role`: unknown variant `emperor`"),
            (with("actor_name", json!(7)), "field `actor_name`: invalid type"),
            (with("actor_nam", json!("x")), "field `actor_nam`: the event has no such field; did you mean `actor_name`?"),
            (json!([1]), "it must be a JSON object"),
            (json!({}), "missing field"),
        ] {
            let error = app.dispatcher.dispatch(request("org.member.role_changed", payload)).await.unwrap_err();
            assert!(matches!(error, DispatchError::InvalidPayload { .. }));
            assert!(error.to_string().contains(text), "{error}");
        }
        assert_eq!(app.database.written().await, 0);
    }
}

#[test]
fn a_request_with_an_unknown_key_is_refused() {
    let request = json!({ "type": "a.b.c", "recipients": ["u"] });
    assert!(serde_json::from_value::<EventRequest>(request).is_err());
}
