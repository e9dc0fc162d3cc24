//! A Postgres that crashes, and one that terminates all sessions.

use std::time::Duration;

use campanile_tests::Kind;
use campanile_tests::database::{Fixture as _, run, run_on_own_server};
use campanile_tests::outside::Mails;
use campanile_tests::provider::Behaviour;

use crate::committed::{assert_nothing_of_what_failed, assert_whole};
use crate::process::Process;
use crate::rounds::{Round, rounds};
use crate::stage::Stage;

/// Runs a worker and a dispatching process, applies this fault to the database in the middle, and waits until both have
/// recovered.
async fn amid(stage: &Stage, round: &mut Round, fault: impl AsyncFnOnce(&mut Round)) {
    let way = round.one_of(&["dispatch", "enqueue"]);
    stage
        .provider
        .always(Behaviour::AcceptAfter(Duration::from_millis(5)));
    let url = &stage.database.url;
    let mut teller =
        Process::start(&mut stage.dispatcher_command(url, way, &round.text("told"), 5));
    let worker = stage.worker_as(|settings| settings.mails = Mails::Together);
    let mut lines = lines_until_done(&mut teller, round.between(2..=6)).await;
    tokio::time::sleep(round.up_to(Duration::from_millis(50))).await;
    stage.told().killed = true;
    fault(round).await;
    lines.extend(lines_until_done(&mut teller, 2).await);
    lines.extend(teller.kill().await);
    assert_whole(stage, &lines).await;
    assert_nothing_of_what_failed(stage, &lines).await;
    // Deliveries that were running in the crash are retried after their lease; the worker is still the same.
    stage.advance().await;
    stage.all_ended().await;
    worker.terminate().await;
}

/// The output of a dispatching process until it has done this many more dispatches.
pub(crate) async fn lines_until_done(teller: &mut Process, times: usize) -> Vec<String> {
    let mut lines = Vec::new();
    while lines
        .iter()
        .filter(|line: &&String| line.starts_with("done"))
        .count()
        < times
    {
        lines.push(teller.line().await);
    }
    lines
}

/// F4.
#[test]
fn a_server_crash_loses_nothing_that_was_reported_as_done() {
    run_on_own_server(&[], async |database, server| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        for mut round in rounds("F4", &stage) {
            amid(&stage, &mut round, async |_| {
                tokio::task::block_in_place(|| server.crash_and_restart());
            })
            .await;
            stage.ends_well().await;
        }
    });
}

/// F5.
#[test]
fn sessions_that_the_server_terminates_reconnect_and_continue() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(5).await;
        for mut round in rounds("F5", &stage) {
            amid(&stage, &mut round, async |round| {
                let mut thrown_out = 0;
                for _ in 0..round.between(1..=4) {
                    thrown_out += throw_everybody_out(&stage).await;
                    tokio::time::sleep(round.up_to(Duration::from_millis(50))).await;
                }
                assert!(thrown_out > 0);
            })
            .await;
            stage.ends_well().await;
        }
    });
}

/// Returns how many sessions were terminated: zero, if they have not reconnected since the last time.
pub(crate) async fn throw_everybody_out(stage: &Stage) -> i64 {
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    stage.database.number(others).await
}
