//! F28: a rolling upgrade. Programs of an older version keep running, while the tables are migrated and beside programs of this
//! version.

use campanile_tests::database::Fixture as _;
use campanile_tests::{TestDatabase, both_databases, older};

use crate::committed::{assert_whole, failed};
use crate::process::Process;
use crate::rounds::rounds;
use crate::server::lines_until_done;
use crate::stage::{Stage, bell};

/// How many users each dispatch notifies.
const PEOPLE: usize = 5;

/// Lets a process dispatch this many times, and ends it.
async fn told_by(stage: &Stage, mut teller: Process, times: usize) {
    let mut lines = lines_until_done(&mut teller, times).await;
    assert_eq!(failed(&lines), [""; 0], "{lines:?}");
    lines.extend(teller.kill().await);
    assert_whole(stage, &lines).await;
}

both_databases! {
    /// F28.
    async fn an_older_worker_and_dispatcher_keep_running_during_the_migration_and_beside_newer_ones(database: TestDatabase) {
        database.go_back_to(older::MIGRATION).await;
        let stage = Stage::over(database).await;
        stage.people(PEOPLE).await;
        let older_worker = stage.older_worker();
        let mut teller = stage.older_dispatcher("before", PEOPLE);
        let mut lines = lines_until_done(&mut teller, 5).await;
        stage.database.database.migrate().await.unwrap();
        // Both continue, over their existing connections and statements.
        lines.extend(lines_until_done(&mut teller, 10).await);
        assert_eq!(failed(&lines), [""; 0], "{lines:?}");
        lines.extend(teller.kill().await);
        assert_whole(&stage, &lines).await;
        stage.all_ended().await;
        // Deliveries queued by this version are delivered by the older one, and the other way round.
        let _ = stage.enqueue(bell("for the older one", PEOPLE)).await;
        stage.all_ended().await;
        older_worker.terminate().await;
        told_by(&stage, stage.older_dispatcher("for the newer one", PEOPLE), 5).await;
        let worker = stage.worker();
        stage.all_ended().await;
        worker.terminate().await;
        stage.ends_well().await;
    }

    /// F28, with a fleet of both versions, whose workers die one after the other.
    async fn workers_of_two_versions_take_over_from_each_other(database: TestDatabase) {
        let stage = Stage::over(database).await;
        stage.people(PEOPLE).await;
        stage.told().killed = true;
        for mut round in rounds("F28", &stage) {
            for kill in 0..4 {
                let workers = [stage.older_worker(), stage.worker()];
                let seen = stage.provider.ledger().entries.len();
                for name in ["older", "newer"] {
                    let name = format!("{name} {kill} {}", round.number);
                    let teller = if name.starts_with("older") {
                        stage.older_dispatcher(&name, PEOPLE)
                    } else {
                        Process::start(&mut stage.dispatcher_command(&stage.database.url, "enqueue", &name, PEOPLE))
                    };
                    told_by(&stage, teller, 3).await;
                }
                stage.provider.asked(seen, round.between(1..=10)).await;
                let [older, newer] = workers;
                let (victim, other) = if kill % 2 == 0 { (older, newer) } else { (newer, older) };
                stage.kill(victim).await;
                stage.advance().await;
                stage.all_ended().await;
                other.terminate().await;
            }
            stage.ends_well().await;
        }
    }
}
