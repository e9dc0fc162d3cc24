//! Dispatching from a shell.

use campanile_tests::{App, both_databases};
use serde_json::json;

use super::{command, given, run_on};

const PAYLOAD: &str =
    r#"{"org_name":"Tower","actor_name":"Bob","before":"member","new_role":"admin"}"#;
const ROLE_CHANGED: [&str; 7] = [
    "dispatch",
    "--type",
    "org.member.role_changed",
    "--subject",
    "m_7",
    "--payload",
    PAYLOAD,
];

fn role_changed<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ROLE_CHANGED[..], more].concat()
}

both_databases! {
    async fn the_report_lists_the_outcomes_and_a_repeat_writes_nothing(app: App) {
        let line = role_changed(&["--to", "u_ada,u_zoe", "--org", "o_1"]);
        let first = run_on(&app.database.url, &line).await;
        assert!(first.text().contains("2 recipients: 3 sent, 1 without an address"), "{first:?}");
        assert!(first.text().contains("u_zoe      email    unreachable"), "{first:?}");
        assert!(!first.out.contains("example.com"), "an address: {first:?}");
        let again = run_on(&app.database.url, &line).await;
        assert!(again.text().contains("2 already notified; nothing was written"), "{again:?}");
        assert_eq!(app.inbox("u_ada").await.len(), 1);
    }

    async fn a_document_on_standard_input_contains_the_complete_request(app: App) {
        let request = json!({
            "type": "org.member.changed_role", "recipientUserIds": ["u_ada"], "subjectId": "m_7",
            "payload": serde_json::from_str::<serde_json::Value>(PAYLOAD).unwrap(),
        });
        let mut app_command = command(&app.database.url);
        let ended = given(app_command.args(["dispatch", "-", "--json"]), request.to_string().as_bytes()).await;
        let report = ended.json();
        assert_eq!((&report["sent"], &report["recipients"]), (&json!(2), &json!(1)));
    }

    async fn an_enqueued_dispatch_is_left_to_a_worker(app: App) {
        let report = run_on(&app.database.url, &role_changed(&["--to", "u_ada", "--enqueue", "--json"])).await.json();
        assert_eq!((&report["sent"], &report["queued"]), (&json!(1), &json!(1)));
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn a_plan_is_explained_and_nothing_is_written(app: App) {
        let plan = run_on(&app.database.url, &role_changed(&["--to", "u_ada", "--explain"])).await;
        assert!(plan.text().contains("within 60 s with the key `m_7:admin`"), "{plan:?}");
        assert!(plan.text().contains("u_ada      email    yes       defaultOn"), "{plan:?}");
        let json = run_on(&app.database.url, &role_changed(&["--to", "u_ada", "--explain", "--json"])).await.json();
        assert_eq!(json["recipients"][0]["channels"][0]["rule"], "defaultOn");
        assert_eq!(app.database.written().await, 0);
    }

    async fn an_empty_audience_is_valid(app: App) {
        let request = json!({ "type": "loft.door.opened", "recipientUserIds": [] }).to_string();
        let mut app_command = command(&app.database.url);
        let told = given(app_command.args(["dispatch", "-"]), request.as_bytes()).await;
        assert!(told.text().contains("0 recipients: nobody to notify"), "{told:?}");
        // A forgotten option does not mean an empty audience.
        let forgotten = run_on(&app.database.url, &role_changed(&[])).await;
        assert!(forgotten.err.contains("--to"), "{forgotten:?}");
    }
}
