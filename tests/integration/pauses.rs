//! A misconfigured channel is paused: no attempt is used, the other channels continue, and it is resumed by a probe or by an
//! operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use campanile::channel::Verdict;
use campanile::operate::PauseError;
use campanile::{Dispatcher, Notice, NotifiableEvent as _, Outcome};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};

/// Pigeons without a licence, until they get one; and how often they were called.
struct Loft {
    dispatcher: Dispatcher,
    licensed: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

fn loft(app: &App) -> Loft {
    let (licensed, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (may_fly, count) = (Arc::clone(&licensed), Arc::clone(&asked));
    let pigeons = PigeonSettings::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Flight::Ends(if may_fly.load(Ordering::SeqCst) {
            Verdict::accepted()
        } else {
            Verdict::misconfigured("no licence")
        })
    });
    let builder = app.builder().with(pigeons);
    let builder = builder.tune(&PIGEON, |policy| policy.concurrency(8));
    let dispatcher = builder.build().unwrap();
    Loft {
        dispatcher,
        licensed,
        asked,
    }
}

fn notice(subject: &str) -> Notice {
    PigeonExpected::default().about(subject).to(["u_ada"])
}

/// As if the time until the next probe had passed.
async fn advance_probe(app: &App) {
    app.database
        .execute("update {campanile}notification_worker_pauses set probe_at = {earlier(1)}")
        .await;
    app.database.advance_deliveries().await;
}

both_databases! {
    async fn a_misconfigured_channel_is_paused_and_a_probe_resumes_it(app: App) {
        let loft = loft(&app);
        let report = loft.dispatcher.dispatch(notice("a")).await.unwrap();
        assert_eq!((report.sent, report.failed), (1, 1));
        let status = loft.dispatcher.operations().channels().await.unwrap();
        let pigeon = status.iter().find(|status| status.channel == "pigeon").unwrap();
        let pause = &pigeon.worker_pauses[0];
        assert_eq!((pause.reason.as_str(), pause.worker), ("no licence", loft.dispatcher.worker_id()));
        assert!(pause.probe_at > pause.paused_at);
        assert_eq!(status.iter().filter(|status| !status.worker_pauses.is_empty()).count(), 1);
        assert!(status.iter().all(|status| status.pause.is_none()), "a process without a worker pauses the channel only for itself");

        // While it is paused nothing is tried, inside a dispatch or after it.
        for subject in ["b", "c", "d"] {
            let report = loft.dispatcher.dispatch(notice(subject)).await.unwrap();
            assert_eq!((report.sent, report.queued), (1, 1));
        }
        app.database.advance_deliveries().await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        assert_eq!(loft.asked.load(Ordering::SeqCst), 1);

        // A probe is one delivery. It fails, and the channel stays paused.
        advance_probe(&app).await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        assert_eq!(loft.asked.load(Ordering::SeqCst), 2);

        // The next one succeeds, and the rest follows.
        loft.licensed.store(true, Ordering::SeqCst);
        advance_probe(&app).await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        app.database.advance_deliveries().await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().sent, 3);
        assert_eq!(app.database.count("notification_worker_pauses").await, 0);
    }

    async fn many_claimed_deliveries_are_given_back_as_soon_as_the_channel_is_misconfigured(app: App) {
        let users: Vec<_> = (0..60).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let loft = loft(&app);
        let report = loft.dispatcher.dispatch(PigeonExpected::default().to(&users)).await.unwrap();
        let asked = loft.asked.load(Ordering::SeqCst);
        assert_eq!((report.failed, report.queued), (asked, 60 - asked));
        assert!(asked <= 16, "{asked}: not much more than what is under way at once");
    }

    async fn a_misconfigured_channel_uses_no_attempts_however_long_it_lasts(app: App) {
        let loft = loft(&app);
        let _ = loft.dispatcher.dispatch(notice("a")).await.unwrap();
        for _ in 0..20 {
            advance_probe(&app).await;
            assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        }
        assert_eq!(app.database.count("notification_attempts").await, 21);
        loft.licensed.store(true, Ordering::SeqCst);
        advance_probe(&app).await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn the_other_channels_continue(app: App) {
        let loft = loft(&app);
        let _ = loft.dispatcher.dispatch(notice("a")).await.unwrap();
        let report = loft.dispatcher.dispatch(app.past_due().to(["u_ada"])).await.unwrap();
        assert_eq!(report.sent, 2);
        assert_eq!(app.mails().len(), 1);
    }

    async fn an_operators_pause_lasts_until_it_is_resumed(app: App) {
        let dispatcher = &app.dispatcher;
        dispatcher.operations().pause_channel("pigeon", "the tower is closed").await.unwrap();
        let report = dispatcher.dispatch(notice("a")).await.unwrap();
        let pigeon = report.outcomes.iter().find(|line| line.channel == "pigeon").unwrap();
        assert_eq!(pigeon.outcome, Outcome::Queued);
        app.database.advance_deliveries().await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        assert_eq!(app.pigeons.arrived().len(), 0);
        dispatcher.operations().resume_channel("pigeon").await.unwrap();
        dispatcher.operations().resume_channel("pigeon").await.unwrap();
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn neither_a_misconfigured_verdict_nor_a_running_probe_ends_an_operators_pause(app: App) {
        for ending in [Verdict::misconfigured("no licence"), Verdict::accepted()] {
            let begun = Arc::new(AtomicBool::new(false));
            let began = Arc::clone(&begun);
            let slow = PigeonSettings::new(move |_| {
                began.store(true, Ordering::SeqCst);
                Flight::EndsAfter(std::time::Duration::from_millis(500), ending.clone())
            });
            let dispatcher = app.builder().with(slow).build().unwrap();
            app.dispatcher.operations().resume_channel("pigeon").await.unwrap();
            let _ = app.dispatcher.enqueue(notice(&uuid::Uuid::now_v7().to_string())).await.unwrap();
            // A pause that the channel asked for, whose probe is due.
            app.database.execute(
                "insert into {campanile}notification_channel_pauses values ('pigeon', {now}, 'no licence', {earlier(1)})",
            ).await;
            let probe = tokio::spawn(async move { dispatcher.deliver_due(10).await.unwrap() });
            app.eventually(async || begun.load(Ordering::SeqCst)).await;
            app.dispatcher.operations().pause_channel("pigeon", "the tower is closed").await.unwrap();
            assert_eq!(probe.await.unwrap().claimed, 1);
            let status = app.dispatcher.operations().channels().await.unwrap();
            let pause = status.iter().find_map(|status| status.pause.clone()).unwrap();
            assert_eq!((pause.reason.as_str(), pause.probe_at), ("the tower is closed", None));
        }
    }

    async fn a_probe_that_does_not_reach_the_provider_is_repeated_at_once(app: App) {
        let loft = loft(&app);
        let _ = loft.dispatcher.dispatch(notice("a")).await.unwrap();
        loft.licensed.store(true, Ordering::SeqCst);
        // Three without a perch are queued before the one that can be reached.
        for subject in ["b", "c", "d"] {
            let nobody = PigeonExpected::default().about(subject).to(["u_nobody"]);
            let _ = loft.dispatcher.enqueue(nobody).await.unwrap();
        }
        app.database.execute("update {campanile}notification_deliveries set run_at = {later(1000000)} where user_id = 'u_ada'").await;
        app.database.execute("update {campanile}notification_worker_pauses set probe_at = {earlier(1)}").await;
        for _ in 0..3 {
            assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        }
        app.database.advance_deliveries().await;
        assert_eq!(loft.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.database.count("notification_worker_pauses").await, 0);
    }

    async fn an_unknown_channel_cannot_be_paused(app: App) {
        let error = app.dispatcher.operations().pause_channel("pigeons", "why").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no remote channel `pigeons` is linked; there are email, pigeon, push; did you mean `pigeon`?"
        );
        let local = app.dispatcher.operations().resume_channel("inbox").await.unwrap_err();
        assert!(matches!(local, PauseError::UnknownChannel { .. }));
        assert!(app.dispatcher.operations().pause_channel("pigeon", "a\0").await.is_err());
        assert_eq!(app.database.count("notification_channel_pauses").await, 0);
    }
}
