//! Deliveries under several workers, and the log they leave.

use campanile::NotifiableEvent as _;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};

both_databases! {
    async fn workers_side_by_side_deliver_each_delivery_once(app: App) {
        let users: Vec<_> = (0..60).map(|n| format!("u_{n}")).collect();
        for user in &users {
            app.address(user, "pigeon", "tower").await;
        }
        app.dispatcher.enqueue(PigeonExpected::default().to(&users)).await.unwrap();
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

    async fn a_verdict_that_comes_after_the_lease_was_lost_changes_nothing(app: App) {
        // The pigeon's flight outlasts its lease: another worker has taken the delivery over when it ends.
        let database = app.database.clone();
        let slow = campanile_pigeon::PigeonSettings::new(move |_| {
            let database = database.clone();
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    database
                        .execute("update {campanile}notification_deliveries set attempt = 2, lease_until = {later(60000000)}")
                        .await;
                });
            });
            campanile_pigeon::Flight::Ends(campanile::delivery::Verdict::permanent("too late"))
        });
        let dispatcher = app.builder().with(slow).build().unwrap();
        dispatcher.dispatch(PigeonExpected::default().to(["u_ada"])).await.unwrap();
        let untouched = "select count(*) from {campanile}notification_deliveries where state = 'running' and attempt = 2";
        assert_eq!(app.database.number(untouched).await, 1);
    }
}
