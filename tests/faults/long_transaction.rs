//! F30: a transaction stays open for long, and sees an old snapshot of the database.

use campanile::Database;
use campanile::database::{Pool, each_database};
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{Kind, both_databases};
use sqlx::Executor as _;

use crate::stage::{Stage, bell, letter};

/// 100,000 deliveries are made while the transaction stays open. They were queued, claimed and delivered: each state has left its
/// entry in the index of that state.
const PASS: [&str; 4] = [
    "insert into campanile.notification_deliveries (id, notification_id, dispatch_id, user_id, channel, has_local, state, \
        attempt, run_at, created_at) \
     select gen_random_uuid(), gen_random_uuid(), dispatch_id, 'passed_' || n, channel, false, 'pending', 0, \
        created_at - interval '1 hour' + n * interval '1 millisecond', created_at \
     from (select * from campanile.notification_deliveries limit 1) as like_this cross join generate_series(1, 100000) as n",
    "update campanile.notification_deliveries set state = 'running', attempt = 1, lease_until = run_at where user_id like 'passed_%'",
    "update campanile.notification_deliveries set state = 'delivered', finished_at = run_at, lease_until = null where user_id like 'passed_%'",
    // As the server does automatically, so that it knows that almost nothing waits.
    "analyze campanile.notification_deliveries",
];

/// How many pages of the deliveries' table and its indexes the server has read so far.
const PAGES: &str = "\
    select cast(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read as bigint) from pg_statio_user_tables \
    where relname = 'notification_deliveries'";

/// How many pages the deliveries' table has.
const TABLE: &str = "select pg_relation_size('campanile.notification_deliveries') / 8192";

/// The connections of the claiming application: each reports its page reads when it ends, at the latest.
const CLAIMING: &str = "select count(*) from pg_stat_activity where application_name = 'claims'";

/// Lets a separate dispatcher deliver due deliveries, and returns how many pages it read.
async fn pages_of_a_claim(stage: &Stage) -> i64 {
    let before = stage.database.number(PAGES).await;
    let url = format!("{}?application_name=claims", stage.database.url);
    let database = Database::connect(&url).await.unwrap();
    let dispatcher = stage.outside.builder(database).build().unwrap();
    assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 1);
    let Pool::Postgres(pool) = dispatcher.database().pool() else {
        unreachable!("the test runs only on Postgres")
    };
    pool.close().await;
    stage
        .eventually("it has reported", async || {
            stage.database.number(CLAIMING).await == 0
        })
        .await;
    stage.database.number(PAGES).await - before
}

both_databases! {
    /// F30.
    async fn deliveries_are_made_while_a_transaction_stays_open(stage: Stage) {
        stage.people(20).await;
        let begin = if stage.database.kind == Kind::Postgres { "begin isolation level repeatable read" } else { "begin" };
        each_database!(stage.dispatcher.database(), |pool| {
            let mut reader = pool.begin_with(begin).await.unwrap();
            let look = stage.database.database.sql("select count(*) from {campanile}notification_deliveries");
            reader.execute(look).await.unwrap();
            let worker = stage.worker();
            for time in 0..10 {
                let _ = stage.enqueue(bell(&format!("by {time}"), 20)).await;
                let _ = stage.enqueue(letter(&format!("by mail alone {time}"), 20)).await;
            }
            stage.all_ended().await;
            assert_eq!(stage.in_state("delivered").await, 10 * 60);
            let look = stage.database.database.sql("select count(*) from {campanile}notification_deliveries");
            let seen: i64 = sqlx::query_scalar(look).fetch_one(&mut *reader).await.unwrap();
            assert_eq!(seen, 0, "it still sees the old snapshot");
            reader.rollback().await.unwrap();
            worker.terminate().await;
        });
        stage.ends_well().await;
    }
}

/// F30, measured in pages, which are the same on every machine. SQLite keeps one entry for each row, whatever snapshots are open,
/// so there is nothing to measure.
#[test]
fn a_claim_skips_dead_index_entries_while_a_transaction_stays_open_and_is_cheaper_afterwards() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        stage.people(1).await;
        // The server's own maintenance reads pages too.
        let alone = "alter table campanile.notification_deliveries set (autovacuum_enabled = off)";
        stage.database.execute(alone).await;
        let _ = stage.enqueue(letter("first", 1)).await;
        let fresh = pages_of_a_claim(&stage).await;
        let Pool::Postgres(pool) = stage.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let begin = "begin isolation level repeatable read";
        let mut reader = pool.begin_with(begin).await.unwrap();
        reader.execute("select 1").await.unwrap();
        for passed in PASS {
            stage.database.execute(passed).await;
        }
        let _ = stage.enqueue(letter("beside it", 1)).await;
        let beside = pages_of_a_claim(&stage).await;
        reader.rollback().await.unwrap();
        // This one skips them for the last time.
        let _ = stage.enqueue(letter("after it", 1)).await;
        pages_of_a_claim(&stage).await;
        let _ = stage.enqueue(letter("long after it", 1)).await;
        let after = pages_of_a_claim(&stage).await;
        let table = stage.database.number(TABLE).await;
        let pages = format!(
            "pages of a claim: {fresh} at first, {beside} beside the transaction, {after} after it; the table has {table}"
        );
        eprintln!("{pages}");
        // A claim that read the table instead of its indexes would read it more than once.
        assert!(beside < 2 * table, "{pages}");
        // Dead entries are scanned until a vacuum removes them, if the claim before could not mark them all.
        assert!(after < beside && after < table + table / 4, "{pages}");
        stage
            .database
            .execute("delete from campanile.notification_deliveries where user_id like 'passed_%'")
            .await;
        stage.ends_well().await;
    });
}
