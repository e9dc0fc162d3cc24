//! A channel that fails on purpose: what is kept, and what is retried.

use serde_json::{Value, json};

use crate::tour::{Tour, outcome};

async fn fail(tour: &Tour, channel: &str, failing: bool) -> Value {
    let answer = tour
        .post(
            &format!("/api/channels/{channel}/fail"),
            json!({ "failing": failing }),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

#[tokio::test]
async fn a_failing_mail_keeps_the_inbox_row_and_is_sent_later() {
    let tour = Tour::start().await;
    let switched = fail(&tour, "email", true).await;
    assert_eq!(
        switched,
        json!({ "name": "email", "transport": "remote", "failing": true })
    );

    let report = tour.fire("org.invitation.sent").await;
    assert_eq!((&report["sent"], &report["failed"]), (&json!(1), &json!(1)));
    let failed = outcome(&report, "u_ada", "email");
    assert_eq!(
        (&failed["outcome"], &failed["retry"]),
        (&json!("failed"), &json!("scheduled"))
    );
    let counts = tour.get("/as/u_ada/inbox/counts").await.json;
    assert_eq!(counts["unread"], 1);
    assert_eq!(tour.get("/api/mails").await.json, json!([]));

    let waiting = tour.get("/api/deliveries").await.json;
    assert_eq!(waiting[0]["channel"], "email");
    assert_eq!(waiting[0]["recipientUserId"], "u_ada");
    assert_eq!(waiting[0]["attempts"], 1);
    assert_eq!(waiting[0]["lastError"], failed["reason"]);

    tour.retry_now().await;
    assert_eq!(tour.get("/api/deliveries").await.json[0]["attempts"], 2);

    fail(&tour, "email", false).await;
    tour.retry_now().await;
    assert_eq!(tour.get("/api/deliveries").await.json, json!([]));
    let mails = tour.get("/api/mails").await.json;
    assert_eq!(mails.as_array().unwrap().len(), 1);
    assert_eq!(mails[0]["to"], "ada@tower.example");
}

#[tokio::test]
async fn a_failing_push_does_not_affect_mail() {
    let tour = Tour::start().await;
    fail(&tour, "push", true).await;
    let report = tour.fire("auth.password.changed").await;
    assert_eq!(outcome(&report, "u_ada", "push")["outcome"], "failed");
    assert_eq!(outcome(&report, "u_ada", "email")["outcome"], "sent");
    assert_eq!(tour.get("/api/pushes").await.json, json!([]));
    let state = tour.get("/api/state").await.json;
    let failing: Vec<_> = state["channels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| json!([channel["name"], channel["transport"], channel["failing"]]))
        .collect();
    assert_eq!(
        json!(failing),
        json!([
            ["email", "remote", false],
            ["inbox", "local", false],
            ["push", "remote", true]
        ])
    );
}

#[tokio::test]
async fn only_a_remote_channel_can_fail() {
    let tour = Tour::start().await;
    let body = json!({ "failing": true });
    tour.post("/api/channels/inbox/fail", body.clone())
        .await
        .expect_problem(409, "LOCAL_CHANNEL");
    let unknown = tour.post("/api/channels/fax/fail", body).await;
    unknown.expect_problem(404, "UNKNOWN_CHANNEL");
    assert_eq!(unknown.json["known"], json!(["email", "inbox", "push"]));
}
