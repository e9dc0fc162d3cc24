//! Tests of the oracle: each of its checks finds its kind of violation.

use campanile_tests::both_databases;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ledgers::deliveries;
use crate::oracle::what_is_wrong;
use crate::stage::{Stage, bell, letter, sign};

/// A stage without violations.
async fn well(stage: &Stage) {
    stage.people(2).await;
    let _ = stage.enqueue(bell("a", 2)).await;
    let _ = stage.enqueue(letter("b", 2)).await;
    let _ = stage.enqueue(sign("c", 2)).await;
    stage.ends_well().await;
}

/// The names of the checks that find a violation.
async fn finders(stage: &Stage) -> Vec<String> {
    let wrong = what_is_wrong(stage, &deliveries(stage).await).await;
    let mut names: Vec<_> = wrong.iter().map(|line| line[..2].to_owned()).collect();
    names.dedup();
    names
}

/// Sends the provider a request with a known key and another body.
async fn ask_with_another_body(stage: &Stage) {
    let key = stage.provider.ledger().entries[0].key.clone();
    let address = stage.provider.url.trim_start_matches("http://").to_owned();
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /emails HTTP/1.1\r\nhost: x\r\nconnection: close\r\nidempotency-key: {key}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
}

/// A violation, and the check that finds it.
const WRONG: [(&str, &str); 12] = [
    (
        "O2",
        "update {campanile}notification_deliveries set has_local = not has_local where channel = 'pigeon'",
    ),
    // Another notification in an open window: of an event with mails, and of one only in the inbox.
    (
        "O3",
        "update {campanile}notification_dedup set notification_id = (select notification_id from right_dedup \
         where event_type = 'faults.bell.rang' limit 1), fired_at = {now} where event_type = 'faults.letter.came'",
    ),
    (
        "O3",
        "update {campanile}notification_dedup set notification_id = (select notification_id from right_dedup \
         where event_type = 'faults.bell.rang' limit 1), fired_at = window_ends_at - {second} where event_type = 'faults.sign.up'",
    ),
    (
        "O4",
        "delete from {campanile}notification_dedup where event_type = 'faults.sign.up'",
    ),
    (
        "O4",
        "delete from {campanile}notification_dedup where event_type = 'faults.letter.came'",
    ),
    (
        "O4",
        "delete from window_log where event_type = 'faults.sign.up'",
    ),
    (
        "O4",
        "delete from window_log where event_type = 'faults.letter.came'",
    ),
    (
        "O4",
        "update {campanile}notification_deliveries set state = 'dead' where channel = 'email' and not has_local",
    ),
    (
        "O7",
        "update {campanile}notification_deliveries set state = 'running'",
    ),
    (
        "O8",
        "update {campanile}notification_deliveries set attempt = 13",
    ),
    (
        "O9",
        "update {campanile}notification_deliveries set state = 'cancelled' where channel = 'pigeon'",
    ),
    (
        "O9",
        "update {campanile}notification_deliveries set state = 'suppressed' where channel = 'email'",
    ),
];

/// Restores the tables. The log of windows is last, because changes to the others write to it.
const COPIED: [&str; 4] = [
    "{campanile}notification_deliveries",
    "{campanile}notification_dispatches",
    "{campanile}notification_dedup",
    "window_log",
];

fn copy_of(table: &str) -> String {
    format!("right_{}", table.rsplit(['_', '}']).next().unwrap())
}

both_databases! {
    async fn each_check_finds_what_is_wrong_in_the_database(stage: Stage) {
        well(&stage).await;
        for table in COPIED {
            let copy = format!("create table {} as select * from {table}", copy_of(table));
            stage.database.execute(&copy).await;
        }
        for (finder, wrong) in WRONG {
            stage.database.execute(&wrong.replace("{second}", &stage.database.span_of(1_000_000))).await;
            assert!(finders(&stage).await.contains(&finder.to_owned()), "{finder} finds: {wrong}");
            for table in COPIED {
                let right = format!("delete from {table}; insert into {table} select * from {}", copy_of(table));
                stage.database.execute(&right).await;
            }
            assert_eq!(finders(&stage).await, Vec::<String>::new(), "after {finder}");
        }
    }

    async fn a_report_of_a_missing_dispatch_is_found(stage: Stage) {
        well(&stage).await;
        let report = stage.told().reports[0].clone();
        let _ = stage.keep(report);
        assert_eq!(finders(&stage).await, ["O1", "O2"]);
    }

    async fn a_delivery_that_never_arrived_is_found(stage: Stage) {
        well(&stage).await;
        std::fs::File::create(stage.pigeons()).unwrap();
        assert_eq!(finders(&stage).await, ["O5"]);
    }

    async fn a_scroll_without_a_delivery_is_found(stage: Stage) {
        well(&stage).await;
        std::fs::write(stage.pigeons(), format!("{}cmp_x\n", std::fs::read_to_string(stage.pigeons()).unwrap())).unwrap();
        assert_eq!(finders(&stage).await, ["O9"]);
    }

    async fn a_key_with_two_bodies_is_found(stage: Stage) {
        well(&stage).await;
        ask_with_another_body(&stage).await;
        assert_eq!(finders(&stage).await, ["O6"]);
    }
}
