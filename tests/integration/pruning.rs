//! Pruning: concurrently with everything else, in one pass, and automatically by a worker.

use std::time::Duration;

use campanile::database::Pool;
use campanile::operate::Retention;
use campanile::{Database, Notice, NotifiableEvent as _, Worker};
use campanile_tests::database::run;
use campanile_tests::events::{PigeonAlone, PigeonExpected, Role};
use campanile_tests::{App, Kind, Running, both_databases};
use sqlx::{AssertSqlSafe, Executor as _};

const NOW: Duration = Duration::ZERO;

fn all() -> Retention {
    Retention {
        deliveries: NOW,
        windows: NOW,
        read_items: Some(NOW),
        unread_items: Some(NOW),
        parked: Some(NOW),
    }
}

fn alone(subject: &str) -> Notice {
    PigeonAlone { text: "x".into() }
        .about(subject)
        .to(["u_ada"])
}

/// Longer ago than a worker keeps rows by default.
const LONG_AGO: &str = "finished_at = {earlier(5184000000000)} where finished_at is not null";

both_databases! {
    async fn windows_are_pruned_during_dispatches_that_renew_them(app: App) {
        let users: Vec<String> = (0..2_000).map(|n| format!("u_{n}")).collect();
        let event = || app.role_changed(Role::Admin).about("s").to(&users);
        let retention = Retention { windows: Duration::from_hours(1), ..Retention::default() };
        for round in 0..25 {
            app.database.advance_windows(7_200).await;
            let renewed = async {
                tokio::time::sleep(Duration::from_millis(round % 7 * 6)).await;
                app.dispatcher.enqueue(event()).await
            };
            let (pruned, renewed) = tokio::join!(app.dispatcher.operations().prune(retention), renewed);
            pruned.unwrap();
            assert_eq!(renewed.unwrap().admitted, 2_000, "round {round}");
            // Renewed windows stay.
            assert_eq!(app.database.count("notification_dedup").await, 2_000);
        }
    }

    async fn many_concurrent_prunes_leave_nothing_behind(app: App) {
        for n in 0..5 {
            let users = (0..1_500).map(|user| format!("u_{user}"));
            let _ = app.dispatcher.enqueue(PigeonExpected::default().about(n.to_string()).to(users)).await.unwrap();
        }
        app.database.change_deliveries("state = 'delivered', finished_at = {earlier(1000)}").await;
        app.database.advance_windows(100).await;
        let (one, other) = tokio::join!(app.dispatcher.operations().prune(all()), app.dispatcher.operations().prune(all()));
        one.unwrap();
        other.unwrap();
        // Rows that one had locked, the other has skipped.
        app.dispatcher.operations().prune(all()).await.unwrap();
        assert_eq!(app.database.written().await, 0);
    }

    async fn parked_and_unread_rows_are_kept_by_default(app: App) {
        let _ = app.dispatcher.enqueue(alone("parked")).await.unwrap();
        let _ = app.dispatcher.enqueue(alone("parked today")).await.unwrap();
        let _ = app.dispatcher.enqueue(alone("waiting")).await.unwrap();
        app.database.change_deliveries("state = 'blocked', blocked_as = 'channel'").await;
        let of = |subject: &str| format!("where dispatch_id = (select id from {{campanile}}notification_dispatches where subject_id = '{subject}')");
        app.database.change_deliveries(&format!("created_at = {{earlier(7200000000)}} {}", of("parked"))).await;
        app.database.change_deliveries(&format!("state = 'pending', created_at = {{earlier(7200000000)}} {}", of("waiting"))).await;
        let _ = app.dispatcher.enqueue(app.past_due().about("old").to(["u_ada", "u_bob"])).await.unwrap();
        // As if it had been created two hours ago.
        app.database.execute(
            "update {campanile}notifications set created_at = {earlier(7200000000)}, \
             read_at = case when user_id = 'u_bob' then {earlier(7200000000)} end, id = {uuid('01890000-0000-7000-8000-00000000000' || \
             case when user_id = 'u_bob' then '1' else '2' end)}",
        ).await;
        let _ = app.dispatcher.enqueue(app.past_due().about("new").to(["u_cyd"])).await.unwrap();
        let nothing = app.dispatcher.operations().prune(Retention::default()).await.unwrap();
        assert_eq!((nothing.parked, nothing.unread_items), (0, 0));
        let hour = Some(Duration::from_hours(1));
        let retention = Retention { unread_items: hour, parked: hour, ..Retention::default() };
        let pruned = app.dispatcher.operations().prune(retention).await.unwrap();
        assert_eq!((pruned.parked, pruned.dispatches, pruned.unread_items, pruned.read_items), (1, 1, 1, 0));
        assert_eq!(app.database.deliveries("state = 'blocked'").await, 1);
        assert_eq!((app.inbox("u_ada").await.len(), app.inbox("u_bob").await.len(), app.inbox("u_cyd").await.len()), (0, 1, 1));
    }

    async fn one_worker_of_a_fleet_prunes_when_it_is_due(app: App) {
        let _ = app.dispatcher.dispatch(alone("old")).await.unwrap();
        app.database.change_deliveries(LONG_AGO).await;
        let fleet: Vec<_> = (0..3).map(|_| Running::start(&app.builder().build().unwrap())).collect();
        let due = "update {campanile}notification_chores set due_at = {earlier(1)}";
        app.database.execute(due).await;
        app.eventually(async || app.database.count("notification_deliveries").await == 0).await;
        let again_in_an_hour = "select count(*) from {campanile}notification_chores \
            where name = 'prune' and due_at > {later(3000000000)} and due_at < {later(4200000000)} and taken_by is not null";
        assert_eq!(app.database.number(again_in_an_hour).await, 1);
        for worker in fleet {
            worker.stop().await;
        }
    }

    async fn a_worker_that_is_configured_not_to_prune_leaves_it_to_others(app: App) {
        let _ = app.dispatcher.dispatch(alone("old")).await.unwrap();
        app.database.change_deliveries(LONG_AGO).await;
        app.database.execute("update {campanile}notification_chores set due_at = {earlier(1)}").await;
        let worker = Worker::new(app.dispatcher.clone()).poll_interval(Duration::from_millis(10));
        let idle = Running::start_as(worker.clone().prune(None));
        // Longer than a worker waits before it checks.
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(app.database.count("notification_deliveries").await, 1);
        let short = Retention { deliveries: Duration::from_hours(1), ..Retention::default() };
        let pruning = Running::start_as(worker.prune(Some(short)));
        app.eventually(async || app.database.count("notification_deliveries").await == 0).await;
        idle.stop().await;
        pruning.stop().await;
    }
}

/// The remaining windows, deliveries and dispatches.
async fn left(app: &App) -> [i64; 3] {
    [
        app.database.count("notification_dedup").await,
        app.database.count("notification_deliveries").await,
        app.database.count("notification_dispatches").await,
    ]
}

/// Only Postgres has row locks.
#[test]
fn locked_rows_are_skipped_and_not_waited_for() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let Pool::Postgres(pool) = app.database.database.pool() else {
            panic!("it is Postgres");
        };
        let one_of = "where dispatch_id = (select id from campanile.notification_dispatches where subject_id = 'held')";
        for (row, kept) in [
            (
                "notification_dedup where dedup_key = 'held'".to_owned(),
                [1, 0, 0],
            ),
            (format!("notification_deliveries {one_of}"), [0, 1, 1]),
            (
                "notification_dispatches where subject_id = 'held'".to_owned(),
                [0, 1, 1],
            ),
        ] {
            for subject in ["first", "held", "last"] {
                let _ = app.dispatcher.enqueue(alone(subject)).await.unwrap();
            }
            app.database
                .change_deliveries("state = 'delivered', finished_at = {earlier(1000)}")
                .await;
            app.database.advance_windows(7_200).await;
            assert_eq!(left(&app).await, [3; 3]);
            let mut holder = pool.begin_with("begin").await.unwrap();
            let hold = format!("select 1 from campanile.{row} for update");
            holder.execute(AssertSqlSafe(hold)).await.unwrap();
            let pruning = tokio::time::timeout(
                Duration::from_secs(5),
                app.dispatcher.operations().prune(all()),
            );
            pruning.await.expect("it waits for no lock").unwrap();
            assert_eq!(left(&app).await, kept, "{row}");
            holder.rollback().await.unwrap();
            app.dispatcher.operations().prune(all()).await.unwrap();
            assert_eq!(left(&app).await, [0; 3], "{row}");
        }
    });
}

#[test]
fn a_backlog_of_windows_behind_open_ones_is_found_in_one_pass() {
    run(Kind::Postgres, async |database| {
        let app = App::without_addresses(database);
        // The open ones are stored first.
        for (count, ends) in [(30_000, "1 day"), (10_000, "-2 days")] {
            app.database
                .execute(&format!(
                    "insert into campanile.notification_dedup \
                     select 'a.b.c', '{ends}' || n, 'u', now(), now() + interval '{ends}', gen_random_uuid() \
                     from generate_series(1, {count}) n"
                ))
                .await;
        }
        app.database
            .execute("analyze campanile.notification_dedup")
            .await;
        let read =
            "select seq_tup_read from pg_stat_user_tables where relname = 'notification_dedup'";
        let before = app.database.number(read).await;
        let pool = app.database.with_connections(1).await;
        let pruning = app.builder().database(pool.clone()).build().unwrap();
        let pruned = pruning
            .operations()
            .prune(Retention::default())
            .await
            .unwrap();
        assert_eq!(pruned.windows, 10_000);
        // A backend reports its reads when it ends.
        let Pool::Postgres(pool) = pool.pool() else {
            panic!("it is Postgres");
        };
        pool.close().await;
        app.eventually(async || app.database.number(read).await > before)
            .await;
        let read = app.database.number(read).await - before;
        assert!(
            read <= 2 * 40_000,
            "{read} rows read to find 10,000 of 40,000"
        );
    });
}

/// It reads a whole table, and no caller waits for it. Here a lock makes it slow; an SQLite file has no such lock.
#[test]
fn a_statement_of_a_prune_may_take_longer_than_other_statements() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let hurried = Database::connect(&app.database.url).await.unwrap();
        let hurried = hurried.statement_timeout(Duration::from_millis(200));
        let dispatcher = app.builder().database(hurried).build().unwrap();
        let lock = "begin; lock table campanile.notification_dedup; select pg_sleep(1); commit";
        let (pruned, ()) = tokio::join!(
            async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                dispatcher.operations().prune(all()).await
            },
            app.database.execute(lock)
        );
        pruned.unwrap();
    });
}
