//! Fired events are in a person's inbox, and a person's preferences decide what is sent. The behaviour of the routes is tested
//! with campanile-web; these tests check that the routes exist, and for whom.

use serde_json::{Value, json};

use crate::tour::{Tour, totals};

const INBOX: &str = "/as/u_ada/inbox";
const PREFERENCES: &str = "/as/u_ada/preferences";

fn switch(category: &str, channel: &str, enabled: bool) -> Value {
    json!({ "category": category, "channel": channel, "enabled": enabled })
}

#[tokio::test]
async fn an_inbox_holds_what_was_fired_and_counts_what_is_unread() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    tour.fire("org.member.role_changed").await;
    let inbox = tour.get(INBOX).await.json;
    assert_eq!(inbox["counts"]["unread"], 2);
    let newest = &inbox["items"][0];
    assert_eq!(newest["eventType"], "org.member.role_changed");
    assert_eq!(newest["title"], "Your role in Tower Works changed");
    assert_eq!(newest["payload"]["new_role"], "admin");

    let path = format!("{INBOX}/{}", newest["id"].as_str().unwrap());
    let marked = tour.patch(&path, json!({ "read": true })).await.json;
    assert!(marked["item"]["readAt"].is_string());
    assert_eq!(marked["counts"]["unread"], 1);
}

#[tokio::test]
async fn an_inbox_belongs_to_one_person() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    let inbox = tour.get(INBOX).await.json;
    let id = inbox["items"][0]["id"].as_str().unwrap();
    assert_eq!(tour.get("/as/u_ben/inbox").await.json["items"], json!([]));
    let foreign = format!("/as/u_ben/inbox/{id}");
    let answer = tour.patch(&foreign, json!({ "read": true })).await;
    assert_eq!(answer.status, 404);
    assert_eq!(tour.get(INBOX).await.json["counts"]["unread"], 1);
}

#[tokio::test]
async fn an_unknown_person_is_a_problem_on_every_route() {
    let tour = Tour::start().await;
    for id in ["u_nobody", "%00", "U_ADA", "u_ada%20"] {
        for path in [
            "inbox",
            "inbox/counts",
            "inbox/events",
            "preferences",
            "settings",
        ] {
            tour.get(&format!("/as/{id}/{path}"))
                .await
                .expect_problem(404, "UNKNOWN_USER");
        }
        tour.patch(
            &format!("/as/{id}/preferences"),
            switch("team", "email", false),
        )
        .await
        .expect_problem(404, "UNKNOWN_USER");
        tour.patch(&format!("/as/{id}/inbox/1"), json!({ "read": true }))
            .await
            .expect_problem(404, "UNKNOWN_USER");
    }
    tour.get("/as/%FF/inbox")
        .await
        .expect_problem(400, "INVALID_PATH");
}

#[tokio::test]
async fn a_muted_channel_is_suppressed_and_the_other_is_sent() {
    let tour = Tour::start().await;
    let answer = tour
        .patch(PREFERENCES, switch("team", "email", false))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(tour.get(PREFERENCES).await.json, answer.json);
    assert_eq!(
        totals(&tour.fire("org.invitation.sent").await),
        json!([1, 0, 1])
    );
    assert_eq!(tour.get("/api/mails").await.json, json!([]));
}

#[tokio::test]
async fn a_fully_muted_event_opens_no_window() {
    let tour = Tour::start().await;
    for channel in ["email", "inbox"] {
        tour.patch(PREFERENCES, switch("team", channel, false))
            .await;
    }
    assert_eq!(
        totals(&tour.fire("org.invitation.sent").await),
        json!([0, 0, 2])
    );
    assert_eq!(tour.get("/api/dedup").await.json, json!([]));
}

#[tokio::test]
async fn a_critical_channel_cannot_be_muted() {
    let tour = Tour::start().await;
    let answer = tour
        .patch(PREFERENCES, switch("billing", "email", false))
        .await;
    assert_eq!(answer.status, 409);
    let reason = answer.json["reason"].as_str().unwrap();
    assert!(reason.contains("org.billing.past_due"), "{reason}");
    let report = tour.fire("org.billing.past_due").await;
    assert_eq!(totals(&report), json!([2, 0, 0]));
}
