//! F29: `PgBouncer`, which in transaction mode loses prepared statements and notifications.

use std::time::Duration;

use campanile::{Database, WakeUp, Worker};
use campanile_tests::Running;
use campanile_tests::bouncer::{Bouncer, Keeps};
use campanile_tests::database::{Fixture as _, run_on_own_server};

use crate::committed::{assert_nothing_of_what_failed, assert_whole, failed};
use crate::process::Process;
use crate::rounds::rounds;
use crate::stage::{Stage, bell};

/// Two dispatching processes and a worker, all through `PgBouncer`. Returns the output of the processes until each had tried
/// twenty dispatches.
async fn told_through(stage: &Stage, url: &str, round: &str) -> Vec<String> {
    let worker = stage.worker_at(url, |_| {});
    let mut tellers: Vec<_> = ["one", "two"]
        .iter()
        .map(|name| {
            let name = format!("{name} {round}");
            Process::start(&mut stage.dispatcher_command(url, "enqueue", &name, 5))
        })
        .collect();
    let mut lines = Vec::new();
    for teller in &mut tellers {
        for _ in 0..2 * 20 {
            lines.push(teller.line().await);
        }
    }
    for teller in tellers {
        lines.extend(teller.kill().await);
    }
    stage.kill(worker).await;
    lines
}

/// F29. Statements fail now and then, as the doctor warns; dispatches that were reported as done exist, and failed ones do not.
#[test]
fn through_a_pooler_that_loses_statements_a_dispatch_succeeds_or_fails() {
    run_on_own_server(&[], async |database, server| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        let bouncer = Bouncer::before(&server.url, Keeps::Transaction);
        for round in rounds("F29", &stage) {
            let lines = told_through(&stage, &bouncer.url, &round.text("lost")).await;
            assert!(!failed(&lines).is_empty(), "statements are lost: {lines:?}");
            assert_nothing_of_what_failed(&stage, &lines).await;
            assert_whole(&stage, &lines).await;
            stage.ends_well().await;
        }
    });
}

/// F29, with a pooler in session mode.
#[test]
fn through_a_pooler_in_session_mode_nothing_fails() {
    run_on_own_server(&[], async |database, server| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        let bouncer = Bouncer::before(&server.url, Keeps::Session);
        for round in rounds("F29 sessions", &stage) {
            let lines = told_through(&stage, &bouncer.url, &round.text("kept")).await;
            assert_eq!(failed(&lines), [""; 0], "{lines:?}");
            assert_whole(&stage, &lines).await;
            stage.ends_well().await;
        }
    });
}

/// Lets a worker listen through `PgBouncer`, poll once an hour, and deliver what another process queues.
async fn heard_through(stage: &Stage, url: &str) {
    let database = Database::connect(url).await.unwrap();
    let builder = stage.outside.builder(database).wake_up(WakeUp::Notify);
    let worker = Worker::new(builder.build().unwrap()).poll_interval(Duration::from_hours(1));
    let worker = Running::start_as(worker);
    let builder = stage.outside.builder(stage.database.database.clone());
    let elsewhere = builder.wake_up(WakeUp::Notify).build().unwrap();
    for time in 0..5 {
        let report = elsewhere.enqueue(bell(&format!("heard {time}"), 5)).await;
        let _ = stage.keep(report.unwrap());
        stage.all_ended().await;
    }
    worker.stop().await;
    stage.ends_well().await;
}

/// F29.
#[test]
fn a_worker_that_listens_through_a_pooler_in_session_mode_is_woken() {
    run_on_own_server(&[], async |database, server| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        let bouncer = Bouncer::before(&server.url, Keeps::Session);
        heard_through(&stage, &bouncer.url).await;
    });
}
