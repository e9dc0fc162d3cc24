//! `GET /api/events` and `GET /api/users`.

use serde_json::json;

use crate::tour::Tour;

#[tokio::test]
async fn four_events_are_listed_with_their_channels_and_keys() {
    let events = Tour::start().await.get("/api/events").await.json;
    let told: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            json!([
                event["eventType"],
                event["category"],
                event["channels"],
                event["criticalChannel"],
                event["dedup"]["by"],
                event["dedup"]["windowSeconds"],
                event["expiresAfterSeconds"],
            ])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            [
                "auth.password.changed",
                "security",
                ["inbox", "email", "push"],
                "email",
                ["subject"],
                60.0,
                null
            ],
            [
                "org.billing.past_due",
                "billing",
                ["inbox", "email"],
                "email",
                ["subject"],
                60.0,
                null
            ],
            [
                "org.invitation.sent",
                "team",
                ["inbox", "email"],
                null,
                ["subject"],
                60.0,
                86400.0
            ],
            [
                "org.member.role_changed",
                "team",
                ["inbox", "email"],
                null,
                ["subject", "new_role"],
                60.0,
                null
            ],
        ])
    );
}

#[tokio::test]
async fn the_example_of_every_event_can_be_fired_unchanged() {
    let tour = Tour::start().await;
    for event in tour.get("/api/events").await.json.as_array().unwrap() {
        let report = tour
            .post("/api/dispatch", event["example"].clone())
            .await
            .json;
        assert_eq!(
            report["sent"],
            event["channels"].as_array().unwrap().len(),
            "{report}"
        );
    }
}

#[tokio::test]
async fn people_are_listed_by_id_and_name() {
    let users = Tour::start().await.get("/api/users").await.json;
    let users = users.as_array().unwrap();
    assert_eq!(users[0], json!({ "id": "u_ada", "name": "Ada Okafor" }));
    assert!(users.len() >= 3);
}
