//! Locks on rows of deliveries: taken by ascending id whatever the plan, or skipped. Only Postgres has them.

use std::sync::Arc;
use std::time::Duration;

use campanile::NotifiableEvent as _;
use campanile::channel::Verdict;
use campanile::database::Pool;
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::database::run;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Kind};
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tokio::sync::Semaphore;

async fn enqueue(app: &App, users: usize) {
    app.database
        .execute(&format!(
            "insert into campanile.notification_addresses (user_id, channel, address, created_at) \
             select 'u_' || n, 'pigeon', 'tower', now() from generate_series(1, {users}) as n"
        ))
        .await;
    let users = (1..=users).map(|n| format!("u_{n}"));
    let notice = PigeonExpected::default().to(users);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

/// A foreign transaction that locks the delivery at this position in the order of ids.
async fn hold(app: &App, place: usize) -> Transaction<'static, Postgres> {
    let Pool::Postgres(pool) = app.database.database.pool() else {
        panic!("this is Postgres");
    };
    let mut holder = pool.begin_with("begin").await.unwrap();
    // An offset with `for update` would lock the skipped rows too.
    let lock = format!(
        "select 1 from campanile.notification_deliveries where id = \
         (select id from campanile.notification_deliveries order by id limit 1 offset {place}) for update"
    );
    let locked = sqlx::query(AssertSqlSafe(lock)).execute(&mut *holder).await;
    assert_eq!(locked.unwrap().rows_affected(), 1);
    holder
}

/// Waits until a statement that contains this text waits for a lock, and returns how many rows are unlocked meanwhile.
async fn free_while(app: &App, statement: &str) -> i64 {
    let waiting = format!(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
         and query like '%{statement}%'"
    );
    app.eventually(async || app.database.number(&waiting).await > 0)
        .await;
    let free = "select count(*) from (select 1 from campanile.notification_deliveries for update skip locked) as free";
    app.database.number(free).await
}

/// Makes new connections join without nested loops, as they do for many rows.
async fn join_otherwise(app: &App) {
    let name = app.database.texts("select current_database()").await;
    let name = name[0].clone().unwrap();
    app.database
        .execute(&format!("alter database {name} set enable_nestloop = off"))
        .await;
}

/// Stores the rows in descending order.
async fn turn_over(app: &App) {
    app.database
        .execute(
            "do $$ declare one uuid; begin \
             for one in select id from campanile.notification_deliveries order by id desc loop \
             update campanile.notification_deliveries set last_error = null where id = one; \
             end loop; end $$",
        )
        .await;
    let analyze = "analyze campanile.notification_deliveries";
    app.database.execute(analyze).await;
}

#[test]
fn renewals_and_records_lock_by_ascending_id_whatever_the_plan() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        enqueue(&app, 300).await;
        join_otherwise(&app).await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let mut pigeons =
            PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
        pigeons.loft = 300;
        let aloft = Arc::clone(&pigeons.aloft);
        let builder = app.builder().with(pigeons).lease(Duration::from_secs(3));
        let builder = builder.attempt_timeout(Duration::from_mins(1));
        let builder = builder.database(app.database.with_connections(5).await);
        let dispatcher = builder.build().unwrap();
        let share = tokio::spawn(async move { dispatcher.deliver_due(300).await.unwrap() });
        app.eventually(async || aloft.now() == 1).await;
        turn_over(&app).await;
        let holder = hold(&app, 0).await;
        assert_eq!(free_while(&app, "set lease_until").await, 299);
        holder.rollback().await.unwrap();
        let holder = hold(&app, 0).await;
        gate.add_permits(300);
        assert_eq!(free_while(&app, "given as materialized").await, 299);
        holder.rollback().await.unwrap();
        assert_eq!(share.await.unwrap().sent, 300);
        let delivered = app.database.deliveries("state = 'delivered'").await;
        assert_eq!(delivered, 300);
    });
}

#[test]
fn a_claim_waits_for_no_lock_and_skips_a_batch_with_a_locked_member() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        enqueue(&app, 3).await;
        let keyed = |verdict: Verdict| {
            let mut pigeons = PigeonSettings::new(move |_| Flight::Ends(verdict.clone()));
            pigeons.loft = 3;
            let builder = app.builder().with(pigeons);
            let builder = builder.tune(&PIGEON, |policy| {
                policy.key_lifetime(Duration::from_hours(24))
            });
            builder.build().unwrap()
        };
        keyed(Verdict::unknown("no answer"))
            .deliver_due(10)
            .await
            .unwrap();
        app.database.advance_deliveries().await;
        let dispatcher = keyed(Verdict::accepted());
        let holder = hold(&app, 1).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        holder.rollback().await.unwrap();
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 3);
    });
}
