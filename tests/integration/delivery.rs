//! Deliveries under several workers, and the log they leave.

use campanile::NotifiableEvent as _;
use campanile::preferences::Choice;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};

both_databases! {
    async fn concurrent_workers_deliver_each_delivery_once(app: App) {
        let users: Vec<_> = (0..60).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let _ = app.dispatcher.enqueue(PigeonExpected::default().to(&users)).await.unwrap();
        let workers = (0..6).map(|_| {
            let worker = app.builder().build().unwrap();
            async move {
                while worker.deliver_due(5).await.unwrap().claimed > 0 {}
            }
        });
        futures_util::future::join_all(workers).await;
        assert_eq!(app.pigeons.arrived().len(), 60);
        assert_eq!(app.database.count("notification_attempts").await, 60);
        let delivered = "select count(*) from {campanile}notification_deliveries \
             where state = 'delivered' and attempt = 1 and finished_at is not null and worker is null";
        assert_eq!(app.database.number(delivered).await, 60);
    }

    async fn a_verdict_after_the_lease_was_lost_changes_nothing(app: App) {
        // The pigeon's flight outlasts its lease: another worker has taken the delivery over when it ends.
        let database = app.database.clone();
        let slow = campanile_pigeon::PigeonSettings::new(move |_| {
            let database = database.clone();
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    database
                        .execute(
                            "update {campanile}notification_deliveries set attempt = 2, lease_until = {later(60000000)}, \
                             claim = {uuid('00000000-0000-0000-0000-00000000beef')}",
                        )
                        .await;
                });
            });
            campanile_pigeon::Flight::Ends(campanile::channel::Verdict::permanent("too late"))
        });
        let dispatcher = app.builder().with(slow).build().unwrap();
        let _ = dispatcher.dispatch(PigeonExpected::default().to(["u_ada"])).await.unwrap();
        let untouched = "select count(*) from {campanile}notification_deliveries where state = 'running' and attempt = 2";
        assert_eq!(app.database.number(untouched).await, 1);
    }

    async fn an_opt_out_between_the_commit_and_the_attempt_is_respected(app: App) {
        let _ = app.dispatcher.enqueue(PigeonExpected::default().about("a").to(["u_ada", "u_bob"])).await.unwrap();
        app.choose("u_ada", "loft", "pigeon", Choice::Off).await;
        let attempted = app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!((attempted.claimed, attempted.sent), (2, 1));
        assert_eq!(app.pigeons.arrived()[0].0, "u_bob");
        let muted = "select count(*) from {campanile}notification_deliveries \
             where user_id = 'u_ada' and state = 'suppressed' and finished_at is not null";
        assert_eq!(app.database.number(muted).await, 1);
        // Preferences do not apply to a critical channel.
        let _ = app.dispatcher.enqueue(app.past_due().to(["u_ada"])).await.unwrap();
        app.choose("u_ada", "billing", "email", Choice::Off).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn deliveries_that_a_hanging_channel_did_not_start_are_given_back(app: App) {
        let users: Vec<_> = (0..40).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let hanging = campanile_pigeon::PigeonSettings::new(|_| campanile_pigeon::Flight::NeverEnds);
        let dispatcher = app
            .builder()
            .with(hanging)
            .attempt_timeout(std::time::Duration::from_secs(2))
            .tune(&campanile_pigeon::PIGEON, |policy| policy.concurrency(8))
            .build()
            .unwrap();
        let report = dispatcher.dispatch(PigeonExpected::default().to(&users)).await.unwrap();
        assert_eq!((report.sent, report.failed, report.queued), (40, 8, 32));
        let given_back = "select count(*) from {campanile}notification_deliveries \
             where state = 'pending' and attempt = 0 and lease_until is null";
        assert_eq!(app.database.number(given_back).await, 32);
        assert_eq!(app.database.count("notification_attempts").await, 8);
        // The pause of a failed one may be zero.
        app.database.execute(
            "update {campanile}notification_deliveries set run_at = {later(3600000000)} where state = 'pending' and attempt = 1",
        ).await;
        assert_eq!(app.dispatcher.deliver_due(100).await.unwrap().sent, 32);
    }

    async fn a_channel_that_hangs_does_not_delay_another(app: App) {
        let users: Vec<_> = (0..40).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        let hanging = campanile_pigeon::PigeonSettings::new(|_| campanile_pigeon::Flight::NeverEnds);
        let dispatcher = app
            .builder()
            .with(hanging)
            .attempt_timeout(std::time::Duration::from_secs(2))
            .build()
            .unwrap();
        let _ = dispatcher.enqueue(PigeonExpected::default().to(&users)).await.unwrap();
        let _ = dispatcher.enqueue(app.past_due().to(["u_ada"])).await.unwrap();
        // The mail is queued behind forty pigeons, and is sent with the first of them.
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.mails().len(), 1);
    }

    async fn any_text_of_a_provider_can_be_recorded(app: App) {
        let odd = campanile_pigeon::PigeonSettings::new(|_| {
            campanile_pigeon::Flight::Ends(campanile::channel::Verdict::Accepted {
                provider_id: Some(format!("id\0{}", "x".repeat(5_000))),
            })
        });
        let dispatcher = app.builder().with(odd).build().unwrap();
        let report = dispatcher.dispatch(PigeonExpected::default().to(["u_ada"])).await.unwrap();
        assert_eq!(report.sent, 2);
        let recorded = "select count(*) from {campanile}notification_attempts where length(provider_id) = 200";
        assert_eq!(app.database.number(recorded).await, 1);
        let delivered = "select count(*) from {campanile}notification_deliveries where state = 'delivered'";
        assert_eq!(app.database.number(delivered).await, 1);
    }

    async fn a_row_that_cannot_be_read_is_parked_and_the_others_are_sent(app: App) {
        for subject in ["poison", "well"] {
            let _ = app.dispatcher.enqueue(PigeonExpected::default().about(subject).to(["u_ada"])).await.unwrap();
        }
        // On SQLite it does not even have to be JSON.
        let poison = if app.database.kind == campanile_tests::Kind::Sqlite { "'nonsense'" } else { "'[]'" };
        let statement = format!("update {{campanile}}notification_dispatches set content = {poison} where subject_id = 'poison'");
        app.database.execute(&statement).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        let parked = "select count(*) from {campanile}notification_deliveries \
             where state = 'blocked' and attempt = 0 and last_error is not null";
        assert_eq!(app.database.number(parked).await, 1);
    }
}
