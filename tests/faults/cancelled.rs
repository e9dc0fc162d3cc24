//! F7: a dispatch whose caller is dropped at any point, over a network slow enough to hit every point.

use std::time::Duration;

use campanile::Dispatcher;
use campanile_tests::Kind;
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::fault_proxy::FaultProxy;
use sqlx::Executor as _;
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::stage::{Stage, bell};

/// The time between one point at which the caller is dropped and the next.
const STEP: Duration = Duration::from_millis(3);

/// A dispatcher over a slow network, and its pool of one connection.
async fn far_away(stage: &Stage) -> (Dispatcher, PgPool) {
    stage.people(2).await;
    stage.told().unheard = true;
    stage
        .database
        .execute("create table host_table (n integer)")
        .await;
    let proxy = FaultProxy::before(&stage.database.url).await;
    proxy.slow(Duration::from_millis(4), Duration::from_millis(4));
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.connect(&proxy.url).await.unwrap();
    (stage.outside.builder(pool.clone()).build().unwrap(), pool)
}

/// An insert of the host's, through the same connection, is visible to everybody at once.
async fn assert_sound(stage: &Stage, pool: &PgPool, inserts: i64) {
    pool.execute("insert into host_table values (1)")
        .await
        .unwrap();
    assert_eq!(
        stage
            .database
            .number("select count(*) from host_table")
            .await,
        inserts
    );
}

async fn assert_whole(stage: &Stage, text: &str) {
    let rows = "select (select count(*) from {campanile}notifications where subject_id = $1) \
        + 10 * (select count(*) from {campanile}notification_deliveries as delivery join {campanile}notification_dispatches \
        as dispatch on dispatch.id = delivery.dispatch_id where dispatch.subject_id = $1)";
    let rows = stage.number_of(rows, text).await;
    assert!([0, 42].contains(&rows), "{text}: {rows}");
}

/// F7.
#[test]
fn a_dispatch_whose_caller_is_dropped_at_any_point_is_complete_and_leaves_the_pool_intact() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        let (dispatcher, pool) = far_away(&stage).await;
        for step in 0.. {
            let text = format!("left after step {step}");
            let dispatch = dispatcher.enqueue(bell(&text, 2));
            let ended = tokio::time::timeout(STEP * step, dispatch).await.is_ok();
            assert_sound(&stage, &pool, i64::from(step) + 1).await;
            assert_whole(&stage, &text).await;
            if ended {
                break;
            }
        }
        stage.ends_well().await;
    });
}

/// F7, inside a transaction of the host's, which the host commits or rolls back.
#[test]
fn an_enqueue_in_whose_caller_is_dropped_at_any_point_leaves_the_transaction_intact() {
    run(Kind::Postgres, async |database| {
        let stage = Stage::over(database).await;
        let (dispatcher, pool) = far_away(&stage).await;
        for step in 0.. {
            let text = format!("left after step {step}");
            let mut transaction = pool.begin_with("begin").await.unwrap();
            let enqueue = dispatcher.enqueue_in(&mut transaction, bell(&text, 2));
            let ended = tokio::time::timeout(STEP * step, enqueue).await.is_ok();
            if step % 2 == 0 {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            assert_sound(&stage, &pool, i64::from(step) + 1).await;
            assert_whole(&stage, &text).await;
            if ended && step % 2 == 0 {
                break;
            }
        }
        stage.ends_well().await;
    });
}
