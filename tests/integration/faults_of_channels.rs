//! Bulkheads: a channel that fails, panics, hangs or breaks its contract affects only its own deliveries.

use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{DispatchReport, NotifiableEvent as _, Outcome};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};

async fn fire_with(app: &App, pigeons: PigeonSettings) -> DispatchReport {
    fire(app, pigeons, Duration::from_secs(20)).await
}

async fn fire(app: &App, pigeons: PigeonSettings, attempt_timeout: Duration) -> DispatchReport {
    let builder = app.builder().with(pigeons);
    let dispatcher = builder.attempt_timeout(attempt_timeout).build().unwrap();
    dispatcher
        .dispatch(PigeonExpected::default().about("x").to(["u_ada"]))
        .await
        .unwrap()
}

fn pigeon(report: &DispatchReport) -> (&'static str, String) {
    let line = report
        .outcomes
        .iter()
        .find(|line| line.channel == "pigeon")
        .unwrap();
    let reason = match &line.outcome {
        Outcome::Failed { reason, .. } => reason.clone(),
        _ => String::new(),
    };
    (line.outcome.as_str(), reason)
}

both_databases! {
    async fn a_channel_that_fails_panics_or_hangs_is_reported_and_the_inbox_row_is_written(app: App) {
        type Habit = (fn() -> Flight, &'static str);
        let habits: [Habit; 5] = [
            (|| Flight::Ends(Verdict::retry("storm")), "storm"),
            (|| Flight::Ends(Verdict::permanent("no such tower")), "no such tower"),
            (|| Flight::Crashes, "the channel panicked"),
            (|| Flight::NeverEnds, "did not answer within 200ms"),
            // The last one: it pauses the channel.
            (|| Flight::Ends(Verdict::misconfigured("no pigeons")), "no pigeons"),
        ];
        for (round, (flight, text)) in habits.into_iter().enumerate() {
            app.database.advance_windows(61).await;
            // Only a hang is waited for: printing where a channel panicked may take seconds.
            let is_hang = matches!(flight(), Flight::NeverEnds);
            let timeout = Duration::from_millis(if is_hang { 200 } else { 20_000 });
            let report = fire(&app, PigeonSettings::new(move |_| flight()), timeout).await;
            assert_eq!((report.sent, report.failed, report.admitted), (1, 1, 1));
            let (outcome, reason) = pigeon(&report);
            assert_eq!(outcome, "failed");
            assert!(reason.contains(text), "{reason}");
            assert_eq!(app.inbox("u_ada").await.len(), round + 1);
        }
    }

    async fn a_failed_delivery_is_retried_and_a_permanently_failed_one_is_dead(app: App) {
        let _ = fire_with(&app, PigeonSettings::new(|_| Flight::Ends(Verdict::retry("storm")))).await;
        let state = async |state: &str| {
            let sql = format!("select count(*) from {{campanile}}notification_deliveries where state = '{state}'");
            app.database.number(&sql).await
        };
        assert_eq!(state("pending").await, 1);
        app.database.advance_deliveries().await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(state("delivered").await, 1);
        assert_eq!(app.database.count("notification_attempts").await, 2);
        app.database.advance_windows(61).await;
        let _ = fire_with(&app, PigeonSettings::new(|_| Flight::Ends(Verdict::permanent("no such tower")))).await;
        assert_eq!(state("dead").await, 1);
        app.database.advance_deliveries().await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
    }

    async fn deliveries_leased_by_a_dead_process_are_delivered_after_the_lease(app: App) {
        let _ = app.dispatcher.enqueue(PigeonExpected::default().about("x").to(["u_ada"])).await.unwrap();
        // The state that a process leaves if it dies between claim and verdict.
        app.database.execute(
            "update {campanile}notification_deliveries set state = 'running', attempt = 1, lease_until = {later(60000000)}",
        ).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        app.database.advance_deliveries().await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.pigeons.arrived().len(), 1);
    }

    async fn deliveries_beyond_the_limit_of_one_call_are_queued(app: App) {
        let users: Vec<_> = (0..7).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let dispatcher = app.builder().inline_deliveries(3).build().unwrap();
        let report = dispatcher.dispatch(PigeonExpected::default().to(&users)).await.unwrap();
        assert_eq!((report.sent, report.queued), (7 + 3, 4));
        assert_eq!(dispatcher.deliver_due(100).await.unwrap().sent, 4);
        assert_eq!(app.pigeons.arrived().len(), 7);
    }

    async fn a_batch_channel_gets_batches_and_each_delivery_its_own_verdict(app: App) {
        let users: Vec<_> = (0..5).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let mut pigeons = PigeonSettings::new(|delivery| {
            Flight::Ends(match delivery.user_id.as_str() {
                "u_3" => Verdict::permanent("no such tower"),
                _ => Verdict::accepted(),
            })
        });
        pigeons.loft = 2;
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        let report = dispatcher.dispatch(PigeonExpected::default().to(&users)).await.unwrap();
        assert_eq!((report.sent, report.failed), (5 + 4, 1));
        let failed = report.outcomes.iter().find(|entry| entry.outcome.as_str() == "failed").unwrap();
        assert_eq!(failed.recipient_user_id, "u_3");
    }

    async fn an_address_book_that_fails_leaves_the_deliveries_for_later(app: App) {
        let dispatcher = app.builder().address_book(campanile_tests::app::BrokenBook).build().unwrap();
        let report = dispatcher.dispatch(PigeonExpected::default().to(["u_ada"])).await.unwrap();
        assert_eq!((report.sent, report.failed), (1, 1));
        assert_eq!(pigeon(&report).1, "the address book did not answer");
    }

    async fn a_hosts_own_address_book_is_called_once_for_each_channel(app: App) {
        let book = campanile_tests::app::HostBook::default();
        let asked = book.asked.clone();
        let dispatcher = app.builder().address_book(book).build().unwrap();
        let users: Vec<_> = (0..20).map(|n| format!("u_{n}")).collect();
        let report = dispatcher.dispatch(app.password_changed().to(&users)).await.unwrap();
        assert_eq!(report.sent, 60);
        let mut asked = asked.lock().unwrap().clone();
        asked.sort();
        assert_eq!(asked, [("email".to_owned(), 20), ("push".to_owned(), 20)]);
    }
}
