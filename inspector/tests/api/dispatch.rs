//! `POST /api/dispatch` and `POST /api/explain`.

use serde_json::{Value, json};

use crate::tour::{Tour, outcome, totals};

const INVITATION: &str = "org.invitation.sent";

async fn with(tour: &Tour, event_type: &str, member: &str, value: Value) -> Value {
    let mut request = tour.example(event_type).await;
    request[member] = value;
    request
}

#[tokio::test]
async fn a_first_event_is_sent_and_a_second_is_a_repeat() {
    let tour = Tour::start().await;
    assert_eq!(totals(&tour.fire(INVITATION).await), json!([2, 0, 0]));
    assert_eq!(totals(&tour.fire(INVITATION).await), json!([0, 1, 0]));
    assert_eq!(
        tour.get("/api/mails").await.json.as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn five_at_once_are_one_delivery_and_four_repeats() {
    let tour = Tour::start().await;
    let (first, second, third, fourth, fifth) = tokio::join!(
        tour.fire(INVITATION),
        tour.fire(INVITATION),
        tour.fire(INVITATION),
        tour.fire(INVITATION),
        tour.fire(INVITATION),
    );
    let sum = |name: &str| -> u64 {
        [&first, &second, &third, &fourth, &fifth]
            .iter()
            .map(|answer| answer[name].as_u64().unwrap())
            .sum()
    };
    assert_eq!((sum("sent"), sum("deduped")), (2, 4));
}

#[tokio::test]
async fn a_new_role_has_a_key_of_its_own() {
    let tour = Tour::start().await;
    let mut request = tour.example("org.member.role_changed").await;
    for role in ["admin", "viewer"] {
        request["payload"]["new_role"] = role.into();
        let report = tour.post("/api/dispatch", request.clone()).await.json;
        assert_eq!(totals(&report), json!([2, 0, 0]));
    }
}

#[tokio::test]
async fn every_recipient_and_channel_has_an_outcome() {
    let tour = Tour::start().await;
    let to = json!(["u_ada", "u_chloe", "u_stranger"]);
    let request = with(&tour, "auth.password.changed", "recipientUserIds", to).await;
    let report = tour.post("/api/dispatch", request).await.json;
    assert_eq!(report["outcomes"].as_array().unwrap().len(), 9);
    assert_eq!(outcome(&report, "u_ada", "push")["outcome"], "sent");
    assert_eq!(
        outcome(&report, "u_chloe", "push")["outcome"],
        "unreachable"
    );
    assert_eq!(
        outcome(&report, "u_stranger", "email")["outcome"],
        "unreachable"
    );
    assert_eq!(
        tour.get("/api/pushes").await.json.as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn an_empty_list_of_recipients_is_valid() {
    let tour = Tour::start().await;
    let request = with(&tour, INVITATION, "recipientUserIds", json!([])).await;
    let answer = tour.post("/api/dispatch", request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(totals(&answer.json), json!([0, 0, 0]));
}

#[tokio::test]
async fn the_explanation_names_the_rule_and_writes_nothing() {
    let tour = Tour::start().await;
    let change = json!({ "category": "billing", "channel": "inbox", "enabled": false });
    tour.patch("/as/u_ada/preferences", change).await;
    let request = tour.example("org.billing.past_due").await;
    let explanation = tour.post("/api/explain", request).await.json;
    assert_eq!(explanation["dedupKey"], "in_2026_0117");
    assert_eq!(
        explanation["recipients"][0]["channels"],
        json!([
            { "channel": "inbox", "sends": false, "rule": "optedOut" },
            { "channel": "email", "sends": true, "rule": "critical" },
        ])
    );
    assert!(
        explanation["content"]["email"]["html"]
            .as_str()
            .unwrap()
            .contains("2026-0117")
    );
    assert_eq!(tour.get("/api/dedup").await.json, json!([]));
    let inbox = tour.get("/as/u_ada/inbox").await.json;
    assert_eq!(inbox["items"], json!([]));
}

#[tokio::test]
async fn an_unknown_event_is_a_registry_miss_with_a_suggestion() {
    let tour = Tour::start().await;
    let request = with(&tour, INVITATION, "type", json!("org.invitation.send")).await;
    for path in ["/api/dispatch", "/api/explain"] {
        let answer = tour.post(path, request.clone()).await;
        answer.expect_problem(404, "REGISTRY_MISS");
        assert_eq!(answer.json["suggestion"], INVITATION);
    }
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_refused_and_names_its_field() {
    let tour = Tour::start().await;
    for (payload, field) in [
        (json!({}), Value::Null),
        (json!({ "org_nam": "Tower" }), json!("org_nam")),
        (json!("text"), Value::Null),
        (
            json!({ "org_name": "T", "inviter_name": "B", "role": "king", "open_days": 1 }),
            json!("role"),
        ),
    ] {
        let request = with(&tour, INVITATION, "payload", payload).await;
        let answer = tour.post("/api/dispatch", request).await;
        answer.expect_problem(422, "INVALID_PAYLOAD");
        assert_eq!(answer.json["field"], field, "{}", answer.text);
    }
    assert_eq!(tour.get("/api/dedup").await.json, json!([]));
}

#[tokio::test]
async fn an_id_that_cannot_be_stored_is_refused_with_its_index() {
    let tour = Tour::start().await;
    for id in ["", "a\0", "a\nb"] {
        let request = with(&tour, INVITATION, "recipientUserIds", json!(["u_ada", id])).await;
        let answer = tour.post("/api/dispatch", request).await;
        answer.expect_problem(422, "INVALID_INPUT");
        assert_eq!(answer.json["index"], 1);
    }
    let request = with(&tour, INVITATION, "subjectId", json!("x".repeat(256))).await;
    tour.post("/api/dispatch", request)
        .await
        .expect_problem(422, "INVALID_INPUT");
}

#[tokio::test]
async fn markup_in_a_payload_is_text_in_the_mail() {
    let tour = Tour::start().await;
    let mut request = tour.example(INVITATION).await;
    request["payload"]["inviter_name"] = "<script>alert(1)</script> {{ 7 * 7 }}".into();
    tour.post("/api/dispatch", request).await;
    let mails = tour.get("/api/mails").await.json;
    let html = mails[0]["html"].as_str().unwrap();
    assert!(
        html.contains("&lt;script&gt;") && html.contains("{{ 7 * 7 }}"),
        "{html}"
    );
    assert!(!html.contains("<script>"));
}
