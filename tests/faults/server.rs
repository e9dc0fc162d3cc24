//! A Postgres that crashes, and one that throws everybody out.

use std::time::Duration;

use campanile_tests::Kind;
use campanile_tests::database::{Fixture as _, run, run_on_own_server};
use campanile_tests::outside::Mails;
use campanile_tests::provider::Behaviour;

use crate::committed::{assert_nothing_of_what_failed, assert_whole};
use crate::process::Process;
use crate::rounds::{Round, rounds};
use crate::stage::Stage;

/// Runs a worker and a dispatching process, does this to the database in the middle of it, and waits until both have got
/// over it.
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
    // What was under way in the crash comes again after its lease; the worker is the one from before.
    stage.advance().await;
    stage.all_ended().await;
    worker.terminate().await;
}

/// What a dispatching process says until it has done this many more.
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
fn a_server_that_crashes_in_the_middle_loses_nothing_that_was_said_to_be_done() {
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
fn whoever_is_thrown_out_by_the_server_comes_back_and_goes_on() {
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

/// Says how many it were: nobody, if those of the last time have not come back yet.
pub(crate) async fn throw_everybody_out(stage: &Stage) -> i64 {
    let others = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
        where datname = current_database() and pid <> pg_backend_pid()";
    stage.database.number(others).await
}
