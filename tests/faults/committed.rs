//! Dispatching processes that die around the commit: everything that they reported as done exists, and nothing exists partially.

use std::time::Duration;

use campanile_tests::both_databases;

use crate::process::Process;
use crate::rounds::rounds;
use crate::stage::Stage;

/// How many users each dispatch notifies.
const PEOPLE: usize = 5;

/// Everything that a process reported as started: `Some` rows if it reported them as done.
pub(crate) fn texts(lines: &[String]) -> Vec<(String, Option<i64>)> {
    let of = |word: &str| {
        let lines = lines.iter().filter_map(move |line| line.strip_prefix(word));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let done = of("done ");
    let told = of("begun ").into_iter().map(|text| {
        let admitted = done
            .iter()
            .find_map(|line| line.strip_prefix(&format!("{text} ")));
        (text, admitted.map(|admitted| admitted.parse().unwrap()))
    });
    told.collect()
}

/// Each of these is written completely or not at all, and completely if its process reported it as done.
pub(crate) async fn assert_whole(stage: &Stage, lines: &[String]) {
    let people = i64::try_from(PEOPLE).unwrap();
    for (text, admitted) in texts(lines) {
        let mut rows = Vec::new();
        for statement in [
            "select count(*) from {campanile}notifications where subject_id = $1",
            "select count(*) from {campanile}notification_dedup where dedup_key = $1",
            "select count(*) / 2 from {campanile}notification_deliveries as told join {campanile}notification_dispatches \
             as dispatch on dispatch.id = told.dispatch_id where dispatch.subject_id = $1",
        ] {
            rows.push(stage.number_of(statement, &text).await);
        }
        let whole = rows == [people; 3];
        assert!(
            whole || (rows == [0; 3] && admitted.is_none()),
            "{text}: {rows:?}, said {admitted:?}"
        );
    }
}

/// The dispatches that a process reported as failed: the text of each.
pub(crate) fn failed(lines: &[String]) -> Vec<&str> {
    let failed = lines.iter().filter_map(|line| line.strip_prefix("failed "));
    failed.map(|line| line.split(':').next().unwrap()).collect()
}

/// Nothing exists of the dispatches that a process reported as failed.
pub(crate) async fn assert_nothing_of_what_failed(stage: &Stage, lines: &[String]) {
    for text in failed(lines) {
        assert!(lines.contains(&format!("begun {text}")), "{lines:?}");
        let rows = stage.number_of(ROWS, text).await;
        assert_eq!(rows, 0, "{text} was reported as failed: {lines:?}");
    }
}

/// Everything that a dispatch about `$1` writes.
const ROWS: &str = "\
    select (select count(*) from {campanile}notifications where subject_id = $1) \
        + (select count(*) from {campanile}notification_dedup where dedup_key = $1) \
        + (select count(*) from {campanile}notification_dispatches where subject_id = $1)";

/// Kills a dispatching process at a random moment.
async fn kill_one(
    stage: &Stage,
    way: &str,
    name: &str,
    after: usize,
    later: Duration,
) -> Vec<String> {
    let url = &stage.database.url;
    let mut process = Process::start(&mut stage.dispatcher_command(url, way, name, PEOPLE));
    let mut lines = Vec::new();
    while lines.len() < after {
        lines.push(process.line().await);
    }
    tokio::time::sleep(later).await;
    stage.told().killed = true;
    lines.extend(process.kill().await);
    lines
}

both_databases! {
    /// F3.
    async fn a_process_that_is_killed_around_its_commit_has_written_everything_or_nothing(stage: Stage) {
        stage.people(PEOPLE).await;
        for mut round in rounds("F3", &stage) {
            for way in ["dispatch", "enqueue"] {
                let name = format!("{way}_{}", round.number);
                let later = round.up_to(Duration::from_millis(15));
                let lines = kill_one(&stage, way, &name, round.between(1..=6), later).await;
                assert_eq!(failed(&lines), [""; 0], "{lines:?}");
                assert_whole(&stage, &lines).await;
            }
            stage.ends_well().await;
        }
    }

    /// F3, inside a transaction of the host's: either both the action and its notification exist, or neither does.
    async fn a_host_that_is_killed_around_its_commit_has_notified_only_of_committed_actions(stage: Stage) {
        stage.people(PEOPLE).await;
        stage.database.execute("create table host_action (text text not null)").await;
        for mut round in rounds("F3 in a transaction", &stage) {
            let name = format!("in_{}", round.number);
            let later = round.up_to(Duration::from_millis(15));
            let lines = kill_one(&stage, "enqueue_in", &name, round.between(1..=8), later).await;
            assert_eq!(failed(&lines), [""; 0], "{lines:?}");
            assert_whole(&stage, &lines).await;
            let apart = "select count(*) from (select text from host_action) as action full join \
                (select distinct subject_id from {campanile}notifications) as told on told.subject_id = action.text \
                where action.text is null or told.subject_id is null";
            assert_eq!(stage.database.number(apart).await, 0);
            stage.ends_well().await;
        }
    }
}
