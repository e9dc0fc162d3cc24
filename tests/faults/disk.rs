//! F22: an SQLite file that may not grow.

use campanile_tests::Kind;
use campanile_tests::database::{Fixture as _, run};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use crate::stage::{Stage, bell};

/// F22.
#[test]
fn on_a_full_disk_nothing_is_written_partially_and_afterwards_everything_continues() {
    run(Kind::Sqlite, async |database| {
        let stage = Stage::over(database).await;
        stage.people(20).await;
        let pages = stage.database.number("pragma page_count").await;
        let options: SqliteConnectOptions = stage.database.url.parse().unwrap();
        let options = options.pragma("max_page_count", (pages + 12).to_string());
        let pool = SqlitePoolOptions::new().max_connections(2);
        let full = stage
            .outside
            .builder(pool.connect_with(options).await.unwrap());
        let full = full.build().unwrap();
        let mut told = 0;
        let error = loop {
            let before = stage.database.written().await;
            let _ = match full.enqueue(bell(&format!("until full {told}"), 20)).await {
                Ok(report) => stage.keep(report),
                Err(error) => {
                    assert_eq!(
                        stage.database.written().await,
                        before,
                        "nothing is written partially"
                    );
                    break error;
                }
            };
            told += 1;
        };
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            told > 0 && cause.contains("the disk is full"),
            "{told}: {cause}"
        );
        // A worker on the full disk: deliveries that it cannot record are retried, and not sent twice.
        let due = stage.database.number(crate::stage::UNDER_WAY).await;
        for _ in 0..due / 10 {
            let _ = full.deliver_due(10).await;
        }
        stage.told().killed = true;
        let _ = stage.enqueue(bell("there is room again", 20)).await;
        stage.ends_well().await;
        assert_eq!(stage.in_state("delivered").await, (told + 1) * 40);
    });
}
