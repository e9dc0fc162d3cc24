//! F30: somebody's transaction stays open for long, and sees the database as it was.

use campanile::database::each_database;
use campanile_tests::{Kind, both_databases};
use sqlx::Executor as _;

use crate::stage::{Stage, bell, letter};

both_databases! {
    /// F30.
    async fn deliveries_pass_while_a_transaction_stays_open(stage: Stage) {
        stage.people(20).await;
        let begin = if stage.database.kind == Kind::Postgres { "begin isolation level repeatable read" } else { "begin" };
        each_database!(stage.dispatcher.database(), |pool| {
            let mut reader = pool.begin_with(begin).await.unwrap();
            let look = stage.database.database.sql("select count(*) from {campanile}notification_deliveries");
            reader.execute(look).await.unwrap();
            let worker = stage.worker();
            for time in 0..10 {
                stage.enqueue(bell(&format!("by {time}"), 20)).await;
                stage.enqueue(letter(&format!("by mail alone {time}"), 20)).await;
            }
            stage.all_ended().await;
            assert_eq!(stage.in_state("delivered").await, 10 * 60);
            let look = stage.database.database.sql("select count(*) from {campanile}notification_deliveries");
            let seen: i64 = sqlx::query_scalar(look).fetch_one(&mut *reader).await.unwrap();
            assert_eq!(seen, 0, "it still sees the past");
            reader.rollback().await.unwrap();
            worker.terminate().await;
        });
        stage.ends_well().await;
    }
}
