//! Crowds: a hundred thousand recipients in one call, and two hundred calls over two connections.

use campanile_tests::{Kind, both_databases};

use crate::stage::{Stage, bell, sign};

both_databases! {
    /// F18.
    async fn a_hundred_thousand_recipients_in_one_call_keep_nobody_else_from_being_told(stage: Stage) {
        stage.people(3).await;
        let dispatcher = stage.dispatcher.clone();
        let crowd = tokio::spawn(async move { dispatcher.dispatch(sign("crowd", 100_000)).await.unwrap() });
        let mut meanwhile = 0;
        while !crowd.is_finished() {
            let report = stage.dispatcher.dispatch(bell(&format!("meanwhile {meanwhile}"), 3)).await.unwrap();
            let report = stage.keep(report);
            // One that waited for long before it could write leaves the rest of its lease to a worker.
            assert_eq!((report.admitted, report.failed, report.sent + report.queued), (3, 0, 3 * 3));
            meanwhile += 1;
        }
        let report = stage.keep(crowd.await.unwrap());
        assert_eq!((report.admitted, report.sent), (100_000, 100_000));
        // SQLite has one writer at a time: there the others have their turn before or after it.
        assert!(meanwhile > 1 || stage.database.kind == Kind::Sqlite, "{meanwhile}");
        stage.ends_well().await;
    }

    /// F19.
    async fn two_connections_serve_two_hundred_dispatches_at_once(stage: Stage) {
        stage.people(3).await;
        let database = stage.database.with_connections(2).await;
        let dispatcher = stage.outside.builder(database).build().unwrap();
        let dispatches = (0..200).map(|n| {
            let dispatcher = dispatcher.clone();
            // Every second one is a repeat of the one before.
            tokio::spawn(async move { dispatcher.dispatch(bell(&format!("all at once {}", n / 2), 3)).await.unwrap() })
        });
        for dispatch in dispatches.collect::<Vec<_>>() {
            stage.keep(dispatch.await.unwrap());
        }
        let admitted: usize = stage.told().reports.iter().map(|report| report.admitted).sum();
        assert_eq!(admitted, 100 * 3);
        stage.ends_well().await;
    }
}
