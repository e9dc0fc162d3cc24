//! The doctor: healthy, unmigrated, without a worker, with a transaction that stays open.

use campanile::NotifiableEvent as _;
use campanile::channel::Verdict;
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::bouncer::{Bouncer, Keeps};
use campanile_tests::database::run_on_own_server;
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, Kind, TestDatabase, both_databases};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::working::Worker;
use super::{Ended, run, run_on};

/// A second database without campanile's tables.
pub(crate) async fn unmigrated(database: &TestDatabase) -> String {
    match database.kind {
        Kind::Sqlite => format!("{}.empty", database.url),
        Kind::Postgres => {
            database.execute("drop schema campanile cascade").await;
            database.url.clone()
        }
    }
}

/// The findings of one check, each with its status and how to fix it.
fn findings(ended: &Ended, check: &str) -> Vec<(String, String, String)> {
    let all: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| {
            (
                text(&finding["status"]),
                text(&finding["message"]),
                text(&finding["fix"]),
            )
        })
        .collect()
}

/// The only finding of a check.
#[track_caller]
fn finding(ended: &Ended, check: &str) -> (String, String, String) {
    let mut found = findings(ended, check);
    assert_eq!(found.len(), 1, "{check}: {ended:?}");
    found.remove(0)
}

/// Enqueues a delivery that should have been sent an hour ago.
async fn enqueue_overdue(app: &App) {
    let notice = PigeonAlone { text: "x".into() }.to(["u_ada"]);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
    app.database
        .execute("update {campanile}notification_deliveries set run_at = {earlier(3600000000)}")
        .await;
}

/// Also F29: the pooler is a real one.
#[test]
fn a_pooler_that_loses_prepared_statements_is_a_problem_and_one_in_session_mode_is_not() {
    run_on_own_server(&[], async |_, server| {
        let transactions = Bouncer::before(&server.url, Keeps::Transaction);
        let ended = run_on(&transactions.url, &["doctor", "--json"]).await;
        let (status, message, fix) = finding(&ended, "pooler");
        assert_eq!(status, "problem", "{ended:?}");
        assert!(message.contains("loses prepared statements"), "{message}");
        assert!(fix.contains("pool_mode = session"), "{fix}");
        let sessions = Bouncer::before(&server.url, Keeps::Session);
        let ended = run_on(&sessions.url, &["doctor", "--json"]).await;
        assert_eq!(finding(&ended, "pooler").0, "ok", "{ended:?}");
    });
}

both_databases! {
    async fn many_addresses_suppressed_at_once_are_a_warning(app: App) {
        let (status, message, _) = finding(&run(&app.database, "doctor --json").await, "suppressions");
        assert_eq!((status.as_str(), message.as_str()), ("ok", "0 addresses suppressed in the last day, 0 in the last week; 0 suspected"));
        for number in 0..20 {
            app.suppress(&format!("u{number}@example.com")).await;
        }
        let (status, message, fix) = finding(&run(&app.database, "doctor --json").await, "suppressions");
        assert_eq!(status, "warning");
        assert!(message.starts_with("20 addresses suppressed in the last day, 20 in the last week"), "{message}");
        assert!(fix.contains("suppressions list"), "{fix}");
    }

    async fn with_tables_and_a_worker_there_are_no_problems(app: App) {
        let (worker, _) = Worker::start(&app, &[]).await;
        // It prints that it works a moment before the others can see it.
        app.eventually(async || !app.dispatcher.operations().workers().await.unwrap().is_empty()).await;
        let healthy = run(&app.database, "doctor --json").await;
        assert_eq!(healthy.code, 0, "{healthy:?}");
        let all = healthy.json();
        for finding in all.as_array().unwrap() {
            assert_eq!((&finding["status"], &finding["fix"]), (&"ok".into(), &Value::Null), "{finding}");
        }
        let text = run(&app.database, "doctor").await;
        assert!(text.text().ends_with("\n0 problems, 0 warnings\n"), "{text:?}");
        let listen = finding(&healthy, "listen").1;
        match app.database.kind {
            Kind::Sqlite => assert!(listen.contains("not applicable to SQLite"), "{listen}"),
            Kind::Postgres => assert!(listen.contains("arrives at another"), "{listen}"),
        }
        worker.stop("-TERM").await;
    }

    async fn without_tables_it_says_to_migrate_and_continues(database: TestDatabase) {
        let url = unmigrated(&database).await;
        let ended = run_on(&url, &["doctor", "--json"]).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let (status, message, fix) = finding(&ended, "migrations");
        assert_eq!((status.as_str(), fix.as_str()), ("problem", "run `migrate`"));
        assert!(message.contains("no tables of campanile yet"), "{message}");
        assert_eq!(finding(&ended, "clock").0, "ok");
        let text = run_on(&url, &["doctor"]).await;
        assert!(text.out.contains("-> run `migrate`"), "{text:?}");
    }

    async fn newer_migrations_are_reported(database: TestDatabase) {
        let newer = async |version: i64, description: &str| {
            let insert = "insert into {postgres(campanile.)}_campanile_migrations (version, description, success, checksum, execution_time)";
            database.execute(&format!("{insert} values ({version}, '{description}', true, 'x', 0)")).await;
        };
        newer(998, "expand").await;
        let (status, message, _) = finding(&run(&database, "doctor --json").await, "migrations");
        assert_eq!(status, "ok", "{message}");
        assert!(message.contains("a newer campanile applied 998"), "{message}");
        newer(999, "contract (needs 998)").await;
        let forbidding = run(&database, "doctor --json").await;
        assert_eq!(forbidding.code, 1);
        let (_, message, fix) = finding(&forbidding, "migrations");
        assert!(message.contains("not for this binary: 999") && fix.contains("as new as the tables"), "{message}: {fix}");
    }

    async fn overdue_deliveries_are_a_problem_until_a_worker_runs(app: App) {
        let (worker, _) = Worker::start(&app, &[]).await;
        worker.stop("-TERM").await;
        enqueue_overdue(&app).await;
        let ended = run(&app.database, "doctor --json").await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let (status, message, fix) = finding(&ended, "queue");
        assert_eq!(status, "problem");
        assert!(message.contains("1 delivery over pigeon overdue"), "{message}");
        assert!(fix.contains("`worker`"), "{fix}");
        let patient = run(&app.database, "doctor --overdue 2h --json").await;
        assert_eq!(finding(&patient, "queue").0, "ok");
        let (worker, _) = Worker::start(&app, &[]).await;
        app.eventually(async || finding(&run(&app.database, "doctor --json").await, "queue").0 == "ok").await;
        worker.stop("-TERM").await;
    }

    async fn a_transaction_that_stays_open_is_a_warning_with_its_process(app: App) {
        let mut other = match app.database.kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(PgConnection::connect(&app.database.url).await.unwrap()),
        };
        if let Some(other) = &mut other {
            other.execute("begin").await.unwrap();
        }
        let (status, message, fix) = finding(&run(&app.database, "doctor --json --open-transaction 0s").await, "transactions");
        let Some(mut other) = other else {
            assert_eq!(status, "ok");
            assert!(message.contains("not applicable to SQLite"), "{message}");
            return;
        };
        assert_eq!(status, "warning", "{message}");
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut other).await.unwrap();
        assert!(fix.contains(&format!("pg_terminate_backend({pid})")), "{fix}");
        let young = finding(&run(&app.database, "doctor --json").await, "transactions");
        assert_eq!(young.0, "ok", "{young:?}");
    }

    async fn sessions_that_start_at_another_isolation_level_are_a_warning(app: App) {
        let usual = finding(&run(&app.database, "doctor --json").await, "isolation");
        assert_eq!(usual.0, "ok", "{usual:?}");
        if app.database.kind == Kind::Sqlite {
            return;
        }
        let alter = "do $$ begin execute format('alter database %I set default_transaction_isolation = serializable', \
            current_database()); end $$";
        app.database.execute(alter).await;
        let (status, message, fix) = finding(&run(&app.database, "doctor --json").await, "isolation");
        assert_eq!(status, "warning", "{message}");
        assert!(message.contains("`serializable`") && fix.contains("alter role"), "{message} {fix}");
    }

    async fn paused_channels_and_parked_deliveries_are_reported(app: App) {
        app.dispatcher.operations().pause_channel("email", "the provider is down").await.unwrap();
        let pigeons = PigeonSettings::new(|_| Flight::Ends(Verdict::permanent("no such tower")));
        let hopeless = app.builder().with(pigeons).build().unwrap();
        let _ = hopeless.dispatch(PigeonAlone { text: "x".into() }.about("a").to(["u_ada"])).await.unwrap();
        enqueue_overdue(&app).await;
        app.database.execute("update {campanile}notification_deliveries set channel = 'fax' where state = 'pending'").await;
        let ended = run(&app.database, "doctor --json").await;
        let (status, message, fix) = finding(&ended, "channels");
        assert_eq!((status.as_str(), fix.as_str()), ("warning", "to resume it: `channels resume email`"));
        assert!(message.contains("the provider is down"), "{message}");
        assert_eq!(finding(&ended, "queue").0, "ok");
        let parked = findings(&ended, "parked");
        assert!(parked[0].1.contains("1 delivery over fax waiting"), "{parked:?}");
        assert!(parked[1].2.contains("`dead redrive --channel pigeon --yes`"), "{parked:?}");
    }

    async fn unpruned_old_deliveries_are_a_warning(app: App) {
        let (status, message, _) = finding(&run(&app.database, "doctor --json").await, "finished");
        assert_eq!((status.as_str(), message.as_str()), ("ok", "no delivery has ended yet"));
        let _ = app.dispatcher.dispatch(PigeonAlone { text: "x".into() }.about("a").to(["u_ada"])).await.unwrap();
        let (status, message, _) = finding(&run(&app.database, "doctor --json").await, "finished");
        assert_eq!(status, "ok");
        assert!(message.contains("ended less than a day ago"), "{message}");
        app.database.change_deliveries("finished_at = {earlier(5184060000000)}").await;
        let (status, message, fix) = finding(&run(&app.database, "doctor --json").await, "finished");
        assert_eq!(status, "warning");
        assert!(message.contains("ended 60 days ago") && fix.contains("`prune`"), "{message}: {fix}");
        let (status, ..) = finding(&run(&app.database, "doctor --json --kept 90d").await, "finished");
        assert_eq!(status, "ok");
    }

    async fn a_channel_that_is_not_configured_is_reported_with_everything_it_needs(database: TestDatabase) {
        let ended = run(&database, "--without-mail doctor --json").await;
        assert_eq!(ended.code, 1);
        let told = findings(&ended, "registry");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].1.ends_with("is not set") && told[0].2.contains("`CAMPANILE_EMAIL_FROM`"), "{told:?}");
        assert_eq!(finding(&ended, "migrations").0, "ok");
    }
}
