//! One person's inbox and preferences.

use serde_json::{Value, json};

use crate::tour::{Tour, outcome, totals};

const INBOX: &str = "/api/users/u_ada/inbox";
const PREFERENCES: &str = "/api/users/u_ada/preferences";

fn cell<'m>(matrix: &'m Value, category: &str, channel: &str) -> &'m Value {
    let find = |list: &'m Value, key: &str, name: &str| {
        let mut list = list.as_array().unwrap().iter();
        list.find(|its| its[key] == name).unwrap()
    };
    let row = find(&matrix["categories"], "category", category);
    find(&row["channels"], "channel", channel)
}

fn change(category: &str, channel: &str, enabled: bool) -> Value {
    json!({ "category": category, "channel": channel, "enabled": enabled })
}

#[tokio::test]
async fn an_inbox_holds_what_was_sent_and_counts_what_is_unread() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    tour.fire("org.member.role_changed").await;
    let inbox = tour.get(INBOX).await.json;
    assert_eq!(inbox["unread"], 2);
    let newest = &inbox["items"][0];
    assert_eq!(newest["eventType"], "org.member.role_changed");
    assert_eq!(newest["title"], "Your role in Tower Works changed");
    assert_eq!(
        newest["body"],
        "Ben Lindqvist changed your role from member to admin."
    );
    assert_eq!(newest["subjectId"], "mem_7");
    assert_eq!(newest["payload"]["new_role"], "admin");
    assert_eq!(newest["readAt"], Value::Null);
    newest["createdAt"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();

    let read = format!("{INBOX}/{}/read", newest["id"].as_str().unwrap());
    let after = tour.post(&read, json!({})).await.json;
    assert_eq!(after["unread"], 1);
    after["items"][0]["readAt"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
}

#[tokio::test]
async fn a_foreign_notification_looks_like_a_missing_one() {
    let tour = Tour::start().await;
    tour.fire("org.invitation.sent").await;
    let inbox = tour.get(INBOX).await.json;
    let id = inbox["items"][0]["id"].as_str().unwrap();
    let foreign = tour
        .post(&format!("/api/users/u_ben/inbox/{id}/read"), json!({}))
        .await;
    foreign.expect_problem(404, "UNKNOWN_NOTIFICATION");
    for missing in ["01a1f927-a713-75f5-ac17-fd0ab2977909", "no-id", "%00"] {
        let answer = tour
            .post(&format!("{INBOX}/{missing}/read"), json!({}))
            .await;
        assert_eq!(answer.text, foreign.text);
    }
    assert_eq!(tour.get(INBOX).await.json["unread"], 1);
}

#[tokio::test]
async fn an_unknown_person_is_a_problem_everywhere() {
    let tour = Tour::start().await;
    for id in ["u_nobody", "%00", "U_ADA", "u_ada%20"] {
        tour.get(&format!("/api/users/{id}/inbox"))
            .await
            .expect_problem(404, "UNKNOWN_USER");
        let preferences = format!("/api/users/{id}/preferences");
        tour.get(&preferences)
            .await
            .expect_problem(404, "UNKNOWN_USER");
        tour.put(&preferences, change("team", "email", false))
            .await
            .expect_problem(404, "UNKNOWN_USER");
        let read = format!("/api/users/{id}/inbox/1/read");
        tour.post(&read, json!({}))
            .await
            .expect_problem(404, "UNKNOWN_USER");
    }
    tour.get("/api/users/%FF/inbox")
        .await
        .expect_problem(400, "INVALID_PATH");
}

#[tokio::test]
async fn a_muted_channel_is_suppressed_and_the_other_is_sent() {
    let tour = Tour::start().await;
    let matrix = tour
        .put(PREFERENCES, change("team", "email", false))
        .await
        .json;
    let muted = json!({ "channel": "email", "enabled": false, "locked": false, "reason": null });
    assert_eq!(cell(&matrix, "team", "email"), &muted);
    assert_eq!(tour.get(PREFERENCES).await.json, matrix);
    assert_eq!(
        totals(&tour.fire("org.invitation.sent").await),
        json!([1, 0, 1])
    );
    assert_eq!(tour.get("/api/mails").await.json, json!([]));
}

#[tokio::test]
async fn whoever_mutes_everything_opens_no_window() {
    let tour = Tour::start().await;
    for channel in ["email", "inbox"] {
        tour.put(PREFERENCES, change("team", channel, false)).await;
    }
    assert_eq!(
        totals(&tour.fire("org.invitation.sent").await),
        json!([0, 0, 2])
    );
    assert_eq!(tour.get("/api/dedup").await.json, json!([]));
}

#[tokio::test]
async fn muting_a_critical_channel_is_kept_and_does_not_apply() {
    let tour = Tour::start().await;
    let answer = tour
        .put(PREFERENCES, change("billing", "email", false))
        .await;
    assert_eq!(answer.status, 200);
    let cell = cell(&answer.json, "billing", "email");
    assert_eq!(
        (&cell["enabled"], &cell["locked"]),
        (&json!(false), &json!(true))
    );
    assert!(
        cell["reason"]
            .as_str()
            .unwrap()
            .contains("org.billing.past_due")
    );
    let report = tour.fire("org.billing.past_due").await;
    assert_eq!(outcome(&report, "u_ada", "email")["outcome"], "sent");
    assert_eq!(
        tour.get("/api/mails").await.json.as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn an_unknown_cell_is_refused_with_what_is_known() {
    let tour = Tour::start().await;
    let answer = tour.put(PREFERENCES, change("teams", "email", false)).await;
    answer.expect_problem(422, "UNKNOWN_CATEGORY");
    assert_eq!(answer.json["known"], json!(["billing", "security", "team"]));
    let answer = tour.put(PREFERENCES, change("team", "push", false)).await;
    answer.expect_problem(422, "UNKNOWN_CHANNEL");
    assert_eq!(answer.json["known"], json!(["email", "inbox"]));
}
