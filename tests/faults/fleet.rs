//! Several processes on one database, without faults.

use std::collections::HashSet;

use campanile_tests::Kind;
use campanile_tests::both_databases;
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::provider::Behaviour;

use crate::committed::assert_whole;
use crate::process::Process;
use crate::rounds::rounds;
use crate::stage::{Stage, bell};

both_databases! {
    /// F14.
    async fn each_delivery_is_made_by_one_of_eight_workers(stage: Stage) {
        stage.people(100).await;
        let workers: Vec<_> = (0..8).map(|_| stage.worker_as(|settings| settings.batch = 5)).collect();
        let _ = stage.enqueue(bell("eight", 100)).await;
        stage.all_ended().await;
        for worker in workers {
            worker.terminate().await;
        }
        stage.ends_well().await;
        let ledger = stage.provider.ledger();
        let keys: HashSet<_> = ledger.entries.iter().map(|entry| &entry.key).collect();
        assert_eq!((ledger.entries.len(), keys.len()), (100, 100), "each mail was requested once");
        let scrolls = std::fs::read_to_string(stage.pigeons()).unwrap();
        assert_eq!(scrolls.lines().count(), 100, "each pigeon flew once");
        let more = "select count(*) from {campanile}notification_deliveries where attempt <> 1";
        assert_eq!(stage.database.number(more).await, 0);
    }
}

/// F23.
#[test]
fn two_workers_and_a_dispatcher_share_one_sqlite_file() {
    run(Kind::Sqlite, async |database| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        for mut round in rounds("F23", &stage) {
            stage.provider.always(Behaviour::Accept);
            let (one, two) = (stage.worker(), stage.worker());
            let url = &stage.database.url;
            let name = round.text("shared");
            let mut teller =
                Process::start(&mut stage.dispatcher_command(url, "enqueue", &name, 5));
            let mut lines = Vec::new();
            let most = round.between(20..=40);
            while lines.len() < most {
                lines.push(teller.line().await);
            }
            assert!(
                !lines.iter().any(|line| line.starts_with("failed")),
                "{lines:?}"
            );
            lines.extend(teller.kill().await);
            assert_whole(&stage, &lines).await;
            stage.all_ended().await;
            one.terminate().await;
            two.terminate().await;
            stage.ends_well().await;
        }
    });
}
