//! Crowds: a hundred thousand recipients in one call, and two hundred calls over two connections.

use campanile_tests::outside::Mails;
use campanile_tests::{Kind, both_databases};

use crate::stage::{Stage, bell, letter, sign};

/// The minimum number of other notifications that are sent before a crowd is written. One is sent before it begins, and one may
/// be sent as it ends, even if they wait for each other.
const MANY: usize = 5;

/// Cancels the deliveries that were not started: sending all mails of the crowd would take minutes.
async fn forget_who_waits(stage: &Stage) {
    stage.told().unheard = true;
    let waiting = "from {campanile}notification_deliveries where state = 'pending' and attempt = 0";
    let windows = format!(
        "delete from {{campanile}}notification_dedup where notification_id in (select notification_id {waiting})"
    );
    stage.database.execute(&windows).await;
    stage.database.execute(&format!("delete {waiting}")).await;
}

both_databases! {
    /// F18.
    async fn a_hundred_thousand_recipients_in_one_call_do_not_delay_other_notifications(stage: Stage) {
        stage.people(3).await;
        let dispatcher = stage.dispatcher.clone();
        let crowd = tokio::spawn(async move { dispatcher.dispatch(sign("crowd", 100_000)).await.unwrap() });
        let (mut meanwhile, mut beside) = (0, 0);
        while !crowd.is_finished() {
            let report = stage.dispatcher.dispatch(bell(&format!("meanwhile {meanwhile}"), 3)).await.unwrap();
            let report = stage.keep(report);
            // A dispatch that waited long before it could write leaves the rest of its lease to a worker.
            assert_eq!((report.admitted, report.failed, report.sent + report.queued), (3, 0, 3 * 3));
            meanwhile += 1;
            beside += usize::from(!crowd.is_finished());
        }
        let report = stage.keep(crowd.await.unwrap());
        assert_eq!((report.admitted, report.sent), (100_000, 100_000));
        eprintln!("{beside} others were told before the crowd was written");
        // SQLite has one writer at a time: there the others have their turn before or after it.
        assert!(beside >= MANY || stage.database.kind == Kind::Sqlite, "{beside}");
        stage.ends_well().await;
    }

    /// F18, on a channel: while the crowd is written, and while its mails are waiting.
    async fn a_hundred_thousand_mails_of_one_call_do_not_delay_other_notifications(stage: Stage) {
        stage.people(100_000).await;
        // The timing does not matter here.
        let dispatcher = stage.dispatcher_as(|settings| {
            (settings.mails, settings.mail_millis, settings.attempt_millis) = (Mails::Together, 60_000, 60_000);
        });
        let calling = dispatcher.clone();
        let crowd = tokio::spawn(async move { calling.dispatch(letter("crowd", 100_000)).await.unwrap() });
        let other_is_told = async |text: &str| {
            let report = stage.keep(dispatcher.dispatch(bell(text, 3)).await.unwrap());
            assert_eq!((report.admitted, report.failed, report.sent + report.queued), (3, 0, 3 * 3), "{text}");
        };
        let (mut meanwhile, mut beside) = (0, 0);
        while !crowd.is_finished() {
            other_is_told(&format!("while it is written {meanwhile}")).await;
            meanwhile += 1;
            beside += usize::from(!crowd.is_finished());
        }
        assert!(meanwhile > 0);
        eprintln!("{beside} others were told before the crowd was written");
        // SQLite has one writer at a time: there the others have their turn before or after it.
        assert!(beside >= MANY || stage.database.kind == Kind::Sqlite, "{beside}");
        let report = stage.keep(crowd.await.unwrap());
        assert_eq!((report.admitted, report.failed, report.sent + report.queued), (100_000, 0, 100_000));
        assert!(report.sent <= 100, "the rest is left to workers");
        let seen = stage.provider.ledger().mails();
        let worker = stage.worker_as(|settings| (settings.mails, settings.batch) = (Mails::Together, 100));
        stage.provider.until(|ledger| ledger.mails() > seen + 200).await;
        for time in 0..5 {
            other_is_told(&format!("while it is delivered {time}")).await;
        }
        let waiting = stage.database.deliveries("state = 'pending' and channel = 'email'").await;
        assert!(waiting > 0, "some of the crowd wait until the others were notified");
        worker.terminate().await;
        forget_who_waits(&stage).await;
        stage.ends_well().await;
    }

    /// F19.
    async fn two_connections_serve_two_hundred_dispatches_at_once(stage: Stage) {
        stage.people(3).await;
        let database = stage.database.with_connections(2).await;
        let dispatcher = stage.outside.builder(database).build().unwrap();
        let dispatches = (0..200).map(|n| {
            let dispatcher = dispatcher.clone();
            // Every second dispatch is a repeat of the one before.
            tokio::spawn(async move { dispatcher.dispatch(bell(&format!("all at once {}", n / 2), 3)).await.unwrap() })
        });
        for dispatch in dispatches.collect::<Vec<_>>() {
            let _ = stage.keep(dispatch.await.unwrap());
        }
        let admitted: usize = stage.told().reports.iter().map(|report| report.admitted).sum();
        assert_eq!(admitted, 100 * 3);
        stage.ends_well().await;
    }
}
