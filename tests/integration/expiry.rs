//! Expiry: an expired delivery is not sent, and not reported as sent.

use campanile::channel::Verdict;
use campanile::operate::DeliveryFilter;
use campanile::{Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::{PigeonAlone, SeedOffered};
use campanile_tests::{App, both_databases};

fn seed() -> Notice {
    SeedOffered { text: "x".into() }.about("a").to(["u_ada"])
}

/// As if an hour had passed.
async fn let_expire(app: &App) {
    let change = "expires_at = {earlier(1)} where expires_at is not null";
    app.database.change_deliveries(change).await;
    app.database.advance_deliveries().await;
}

both_databases! {
    async fn a_delivery_that_is_too_late_expires_and_its_window_is_released(app: App) {
        let _ = app.dispatcher.enqueue(seed()).await.unwrap();
        let in_an_hour = "{micros(expires_at)} - {micros(created_at)} = 3600000000";
        assert_eq!(app.database.deliveries(in_an_hour).await, 1);
        assert_eq!(app.dispatcher.enqueue(seed()).await.unwrap().deduped, 1);
        let_expire(&app).await;
        let attempted = app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!((attempted.claimed, attempted.sent), (1, 0));
        assert!(app.pigeons.arrived().is_empty());
        assert_eq!(app.database.deliveries("state = 'expired' and finished_at is not null and worker is null").await, 1);
        let logged = "select outcome from {campanile}notification_attempts";
        assert_eq!(app.database.texts(logged).await, [Some("expired".to_owned())]);
        assert_eq!(app.database.count("notification_dedup").await, 0);
        assert_eq!(app.dispatcher.dispatch(seed()).await.unwrap().sent, 1);
    }

    async fn a_delivery_that_failed_until_its_expiry_expires(app: App) {
        let storm = PigeonSettings::new(|_| Flight::Ends(Verdict::retry("storm")));
        let dispatcher = app.builder().with(storm).build().unwrap();
        let _ = dispatcher.dispatch(seed()).await.unwrap();
        let_expire(&app).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert!(app.pigeons.arrived().is_empty());
        assert_eq!(app.database.deliveries("state = 'expired'").await, 1);
        assert_eq!(app.database.count("notification_dedup").await, 0);
    }

    async fn a_delivery_that_may_have_been_sent_in_time_ends_as_unknown_and_keeps_its_window(app: App) {
        let unheard = PigeonSettings::new(|_| Flight::Ends(Verdict::unknown("no answer")));
        let dispatcher = app.builder().with(unheard).build().unwrap();
        let _ = dispatcher.dispatch(seed()).await.unwrap();
        let_expire(&app).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert!(app.pigeons.arrived().is_empty());
        assert_eq!(app.database.deliveries("state = 'unknown' and finished_at is not null").await, 1);
        assert_eq!(app.dispatcher.dispatch(seed()).await.unwrap().deduped, 1);
    }

    async fn an_event_without_an_expiry_is_delivered_at_any_time(app: App) {
        let alone = PigeonAlone { text: "x".into() }.about("a").to(["u_ada"]);
        let _ = app.dispatcher.enqueue(alone).await.unwrap();
        assert_eq!(app.database.deliveries("expires_at is null").await, 1);
        let a_year = "{earlier(31622400000000)}";
        app.database.change_deliveries(&format!("created_at = {a_year}, run_at = {a_year}")).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn an_operator_can_send_an_expired_delivery_anyway(app: App) {
        let _ = app.dispatcher.enqueue(seed()).await.unwrap();
        let_expire(&app).await;
        app.dispatcher.deliver_due(10).await.unwrap();
        let expired = app.dispatcher.operations().deliveries(DeliveryFilter::default()).await.unwrap();
        app.dispatcher.operations().retry_delivery(expired[0].id).await.unwrap();
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.pigeons.arrived().len(), 1);
    }
}
