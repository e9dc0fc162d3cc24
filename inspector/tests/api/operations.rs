//! The command line of operations in the inspector's own binary: no page, and the database as it is.

use std::process::{Command, Output};

use serde_json::Value;

const PASSWORD_CHANGED: &str =
    r#"--type auth.password.changed --to u_ada --payload {"device":"laptop","place":"Porto"}"#;

fn run(database: &str, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_campanile-inspector"))
        .args(["--database", database])
        .args(line.split(' '))
        .env_remove("CAMPANILE_EMAIL_SENDER")
        .output()
        .unwrap()
}

#[track_caller]
fn json(database: &str, line: &str) -> Value {
    let output = run(database, &format!("{line} --json"));
    assert!(output.status.success(), "{line}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn file(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("tour.sqlite").display())
}

#[test]
fn commands_send_events_and_list_deliveries_without_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder);
    assert_eq!(run(&file, "doctor").status.code(), Some(1));
    json(&file, "migrate");
    assert_eq!(json(&file, "events").as_array().unwrap().len(), 4);
    let report = json(&file, &format!("dispatch {PASSWORD_CHANGED}"));
    assert_eq!(report["sent"], 3, "{report}");
    assert_eq!(json(&file, "deliveries list").as_array().unwrap().len(), 2);
    // The next start accepts the rows of a command as the inspector's own.
    assert_eq!(json(&file, "channels list").as_array().unwrap().len(), 2);
}

#[test]
fn a_database_in_memory_is_migrated_first() {
    let memory = "sqlite::memory:";
    let plan = json(memory, &format!("dispatch --explain {PASSWORD_CHANGED}"));
    assert_eq!(plan["eventType"], "auth.password.changed");
    assert_eq!(
        json(memory, "migrate"),
        serde_json::json!({ "applied": [] })
    );
}

#[tokio::test]
async fn a_worker_does_not_take_the_deliveries_of_another_app() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(&folder);
    let database = campanile::Database::connect(&file).await.unwrap();
    database.migrate().await.unwrap();
    let book = campanile::operate::AddressTable::new(database.clone());
    book.add("customer_1", "email", "somebody@example.com")
        .await
        .unwrap();
    let refused = run(&file, "worker");
    assert_eq!(refused.status.code(), Some(1));
    let reason = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(reason.contains("--accept-foreign-rows"), "{reason}");
}
