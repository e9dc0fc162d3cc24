//! The commands in a host's own command line.

use campanile_tests::{TestDatabase, both_databases};
use serde_json::Value;

use super::{run, run_on};

#[tokio::test]
async fn the_hosts_commands_work_beside_ours() {
    let memory = "sqlite::memory:";
    assert_eq!(run_on(memory, &["hello"]).await.text(), "hello\n");
    let help = run_on(memory, &["--help"]).await;
    for command in [
        "hello",
        "events",
        "migrate",
        "worker",
        "dispatch",
        "deliveries",
        "dead",
        "channels",
        "prune",
        "doctor",
    ] {
        assert!(help.text().contains(&format!("\n  {command} ")), "{help:?}");
    }
}

both_databases! {
    async fn every_event_of_the_binary_is_listed(database: TestDatabase) {
        let table = run(&database, "events").await;
        let line = table.text().lines().find(|line| line.starts_with("org.billing.past_due"));
        assert!(line.unwrap().contains("inbox, email!"), "{table:?}");
        let json = run(&database, "events --json").await.json();
        // The tests declare their own events, which the app does not link.
        let linked = campanile::Registry::collect().unwrap().to_json();
        let is_of_the_app = |event: &&Value| {
            let file = event["declaredAt"]["file"].as_str().unwrap();
            file.starts_with("tests/src/")
        };
        let known: Vec<_> = linked.as_array().unwrap().iter().filter(is_of_the_app).collect();
        assert_eq!(json, serde_json::json!(known));
    }

    async fn events_are_listed_even_if_a_channel_is_not_configured(database: TestDatabase) {
        let listed = run(&database, "--without-mail events").await;
        assert!(listed.text().contains("org.member.role_changed"));
        let refused = run(&database, "--without-mail channels list").await;
        assert!(refused.refusal(1).contains("`CAMPANILE_EMAIL_FROM`"), "{refused:?}");
    }
}
