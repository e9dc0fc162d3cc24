//! How operators view and change deliveries.

use campanile::channel::{ErrorClass, Verdict};
use campanile::operate::Retention;
use campanile::operate::{
    DeadFilter, DeliveryChangeError, DeliveryFilter, DeliveryState, DeliverySummary,
};
use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::{PigeonAlone, PigeonExpected};
use campanile_tests::{App, Kind, both_databases};
use uuid::Uuid;

fn hopeless(app: &App) -> Dispatcher {
    let pigeons = PigeonSettings::new(|_| Flight::Ends(Verdict::permanent("no such tower")));
    app.builder().with(pigeons).build().unwrap()
}

fn alone(subject: &str) -> campanile::Notice {
    PigeonAlone { text: "x".into() }
        .about(subject)
        .to(["u_ada"])
}

async fn list(app: &App, filter: DeliveryFilter<'_>) -> Vec<DeliverySummary> {
    app.dispatcher
        .operations()
        .deliveries(filter)
        .await
        .unwrap()
}

async fn only(app: &App) -> DeliverySummary {
    let mut all = list(app, DeliveryFilter::default()).await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

both_databases! {
    async fn deliveries_are_counted_and_listed_by_channel_and_state_newest_first(app: App) {
        let _ = app.dispatcher.dispatch(PigeonExpected::default().about("a").to(["u_ada", "u_bob"])).await.unwrap();
        let _ = app.dispatcher.enqueue(app.past_due().to(["u_ada"])).await.unwrap();
        let counts = serde_json::to_value(app.dispatcher.operations().delivery_counts().await.unwrap()).unwrap();
        assert_eq!(counts, serde_json::json!([
            { "channel": "email", "state": "pending", "count": 1 },
            { "channel": "pigeon", "state": "delivered", "count": 2 },
        ]));
        let all = list(&app, DeliveryFilter::default()).await;
        assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id));
        assert_eq!((all[0].channel.as_str(), all[0].event_type.as_str()), ("email", "org.billing.past_due"));
        let pigeons = DeliveryFilter { channel: Some("pigeon"), limit: 1, ..DeliveryFilter::default() };
        let first = list(&app, pigeons).await.remove(0);
        let second = list(&app, DeliveryFilter { before: Some(first.id), ..pigeons }).await.remove(0);
        assert_eq!(second.state, DeliveryState::Delivered);
        assert_eq!(list(&app, DeliveryFilter { before: Some(second.id), ..pigeons }).await, []);
        let pending = DeliveryFilter { state: Some(DeliveryState::Pending), ..DeliveryFilter::default() };
        assert_eq!(list(&app, pending).await.len(), 1);
    }

    async fn the_history_of_a_delivery_shows_what_happened_and_why(app: App) {
        let storm = PigeonSettings::new(|_| Flight::Ends(Verdict::retry("storm")));
        let stormy = app.builder().with(storm).build().unwrap();
        let _ = stormy.dispatch(alone("a")).await.unwrap();
        app.database.advance_deliveries().await;
        app.dispatcher.deliver_due(10).await.unwrap();
        let history = app.dispatcher.operations().history(only(&app).await.notification_id).await.unwrap();
        let told: Vec<_> = history
            .attempts
            .iter()
            .map(|entry| (entry.attempt, entry.outcome.as_str(), entry.error.as_deref()))
            .collect();
        assert_eq!(told, [(1, "retry", Some("storm")), (2, "accepted", None)]);
        assert_ne!(history.attempts[0].worker, history.attempts[1].worker);
        assert!(history.deliveries[0].finished_at.unwrap() >= history.deliveries[0].created_at);
        let nothing = app.dispatcher.operations().history(Uuid::nil()).await.unwrap();
        assert!(nothing.deliveries.is_empty() && nothing.attempts.is_empty());
    }

    async fn a_dead_delivery_gets_a_fresh_set_of_attempts(app: App) {
        let _ = hopeless(&app).dispatch(alone("a")).await.unwrap();
        let dead = only(&app).await;
        assert_eq!((dead.state, dead.last_error.as_deref()), (DeliveryState::Dead, Some("no such tower")));
        app.dispatcher.operations().retry_delivery(dead.id).await.unwrap();
        assert_eq!(only(&app).await.state, DeliveryState::Pending);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        let error = app.dispatcher.operations().retry_delivery(dead.id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the delivery {} is delivered, and cannot be tried again", dead.id));
        let missing = app.dispatcher.operations().retry_delivery(Uuid::nil()).await.unwrap_err();
        assert!(matches!(missing, DeliveryChangeError::NotFound(_)));
    }

    async fn the_dead_of_one_channel_or_of_all_are_redriven(app: App) {
        let hopeless = hopeless(&app);
        for subject in ["a", "b", "c"] {
            let _ = hopeless.dispatch(alone(subject)).await.unwrap();
        }
        let of = |channel| DeadFilter { channel: Some(channel), ..DeadFilter::default() };
        assert_eq!(app.dispatcher.operations().redrive_dead(of("email")).await.unwrap(), 0);
        assert_eq!(app.dispatcher.operations().redrive_dead(of("pigeon")).await.unwrap(), 3);
        assert_eq!(app.dispatcher.operations().redrive_dead(DeadFilter::default()).await.unwrap(), 0);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 3);
    }

    async fn only_dead_deliveries_that_match_the_filter_are_redriven(app: App) {
        let hopeless = hopeless(&app);
        let _ = hopeless.dispatch(alone("old")).await.unwrap();
        let before = only(&app).await.finished_at.unwrap();
        for subject in ["expired", "new"] {
            let _ = hopeless.dispatch(alone(subject)).await.unwrap();
        }
        let _ = hopeless.dispatch(PigeonExpected::default().about("other").to(["u_ada"])).await.unwrap();
        let of = |subject: &str| format!("where dispatch_id = (select id from {{campanile}}notification_dispatches where subject_id = '{subject}')");
        app.database.change_deliveries(&format!("finished_at = {{earlier(86400000000)}} {}", of("old"))).await;
        app.database.change_deliveries(&format!("expires_at = {{earlier(1)}} {}", of("expired"))).await;
        let all = DeadFilter::default();
        let count = async |filter| app.dispatcher.operations().count_dead(filter).await.unwrap();
        assert_eq!(count(all).await, 3);
        assert_eq!(count(DeadFilter { event_type: Some("loft.pigeon.alone"), ..all }).await, 2);
        assert_eq!(count(DeadFilter { since: Some(before), ..all }).await, 2);
        assert_eq!(count(DeadFilter { error_class: Some(ErrorClass::Rejected), ..all }).await, 3);
        assert_eq!(count(DeadFilter { error_class: Some(ErrorClass::Connect), ..all }).await, 0);
        let old = DeadFilter { until: Some(before), ..all };
        assert_eq!(count(old).await, 1);
        assert_eq!(app.dispatcher.operations().redrive_dead(old).await.unwrap(), 1);
        assert_eq!(app.dispatcher.operations().redrive_dead(all).await.unwrap(), 2);
        assert_eq!(app.database.deliveries("state = 'dead' and expires_at is not null").await, 1);
    }

    async fn deliveries_that_die_meanwhile_are_not_redriven_again(app: App) {
        let users: Vec<_> = (0..3_000).map(|n| format!("u_{n}")).collect();
        let _ = app.dispatcher.enqueue(PigeonAlone { text: "x".into() }.to(&users)).await.unwrap();
        app.database.change_deliveries("state = 'dead', finished_at = {earlier(1000)}").await;
        // As if each died again at the moment it was tried.
        match app.database.kind {
            Kind::Postgres => {
                app.database.execute(
                    "create function campanile.dies() returns trigger language plpgsql as $$ begin \
                     new.state := 'dead'; new.finished_at := clock_timestamp(); return new; end $$",
                ).await;
                app.database.execute(
                    "create trigger dies before update on campanile.notification_deliveries for each row execute function campanile.dies()",
                ).await;
            }
            Kind::Sqlite => {
                app.database.execute(
                    "create trigger dies after update on campanile_notification_deliveries when new.state = 'pending' begin \
                     update campanile_notification_deliveries set state = 'dead', finished_at = {now} where id = new.id; end",
                ).await;
            }
        }
        let redriving = app.dispatcher.operations().redrive_dead(DeadFilter::default());
        let redriven = tokio::time::timeout(std::time::Duration::from_secs(30), redriving).await;
        assert_eq!(redriven.expect("it ends").unwrap(), 3_000);
    }

    async fn a_cancelled_delivery_is_not_sent_and_its_window_is_released(app: App) {
        let _ = app.dispatcher.enqueue(alone("a")).await.unwrap();
        let waiting = only(&app).await;
        app.dispatcher.operations().cancel_delivery(waiting.id).await.unwrap();
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        assert_eq!(only(&app).await.state, DeliveryState::Cancelled);
        assert_eq!(app.database.count("notification_dedup").await, 0);
        let error = app.dispatcher.operations().cancel_delivery(waiting.id).await.unwrap_err();
        assert!(matches!(error, DeliveryChangeError::WrongState { state: DeliveryState::Cancelled, .. }));
        assert_eq!(app.dispatcher.dispatch(alone("a")).await.unwrap().sent, 1);
    }

    async fn old_finished_deliveries_are_pruned_with_their_log_and_content_and_nothing_else(app: App) {
        // Old and ended, old and waiting, new and ended; and one dispatch shared by an ended and a waiting one.
        let _ = app.dispatcher.dispatch(alone("old")).await.unwrap();
        let _ = app.dispatcher.enqueue(alone("waiting")).await.unwrap();
        let _ = app.dispatcher.dispatch(PigeonExpected::default().about("shared").to(["u_ada", "u_bob"])).await.unwrap();
        app.database.execute("update {campanile}notification_deliveries set finished_at = {earlier(7200000000)} where finished_at is not null").await;
        app.database.execute(
            "update {campanile}notification_deliveries set state = 'pending', finished_at = null \
             where user_id = 'u_bob'",
        ).await;
        app.database.advance_windows(3 * 3_600).await;
        let _ = app.dispatcher.dispatch(alone("new")).await.unwrap();
        let hour = std::time::Duration::from_hours(1);
        let retention = Retention { deliveries: hour, windows: hour, ..Retention::default() };
        let pruned = serde_json::to_value(app.dispatcher.operations().prune(retention).await.unwrap()).unwrap();
        // The four windows fired first are over for two hours; the new one is open.
        assert_eq!(pruned, serde_json::json!({ "deliveries": 2, "attempts": 2, "dispatches": 1, "windows": 4, "readItems": 0, "unreadItems": 0, "parked": 0 }));
        assert_eq!(app.database.count("notification_deliveries").await, 3);
        assert_eq!(app.database.count("notification_dispatches").await, 3);
        assert_eq!(app.database.count("notification_dedup").await, 1);
        assert_eq!(app.database.count("notifications").await, 2, "inbox items are the inbox's");
        let again = app.dispatcher.operations().prune(retention).await.unwrap();
        assert_eq!((again.deliveries, again.windows), (0, 0));
    }

    async fn many_rows_are_pruned_batch_by_batch(app: App) {
        let users = (0..2_500).map(|n| format!("u_{n}"));
        let _ = app.dispatcher.enqueue(PigeonExpected::default().to(users)).await.unwrap();
        app.database.execute(
            "update {campanile}notification_deliveries set state = 'delivered', finished_at = {earlier(1000)}",
        ).await;
        app.database.advance_windows(100).await;
        let now = std::time::Duration::ZERO;
        let pruned = app.dispatcher.operations().prune(Retention { deliveries: now, windows: now, ..Retention::default() }).await.unwrap();
        assert_eq!((pruned.deliveries, pruned.dispatches, pruned.windows), (2_500, 1, 2_500));
    }

    async fn read_items_are_kept_by_default_and_unread_ones_always(app: App) {
        for subject in ["long ago", "just now", "never"] {
            let _ = app.dispatcher.dispatch(app.past_due().about(subject).to(["u_ada"])).await.unwrap();
        }
        app.database.execute(
            "update {campanile}notifications set created_at = {earlier(7200000000)}, read_at = case subject_id \
             when 'long ago' then {earlier(7200000000)} when 'just now' then {now} end",
        ).await;
        let pruned = app.dispatcher.operations().prune(Retention::default()).await.unwrap();
        assert_eq!((pruned.read_items, app.database.count("notifications").await), (0, 3));
        let hour = Some(std::time::Duration::from_hours(1));
        let pruned = app.dispatcher.operations().prune(Retention { read_items: hour, ..Retention::default() }).await.unwrap();
        assert_eq!((pruned.read_items, pruned.deliveries), (1, 0));
        let kept: Vec<_> = app.inbox("u_ada").await.into_iter().map(|item| item.subject_id.unwrap()).collect();
        assert_eq!(kept, ["never", "just now"]);
    }

    async fn many_read_items_are_pruned_in_batches_by_two_concurrent_prunes(app: App) {
        let users = (0..2_500).map(|n| format!("u_{n}"));
        let _ = app.dispatcher.enqueue(app.past_due().to(users)).await.unwrap();
        app.database.execute("update {campanile}notifications set read_at = {earlier(1000)} where user_id <> 'u_7'").await;
        let now = Some(std::time::Duration::ZERO);
        let retention = Retention { read_items: now, ..Retention::default() };
        // Two at once share the work: neither waits for the other, and nothing is counted twice.
        let (one, other) = tokio::join!(app.dispatcher.operations().prune(retention), app.dispatcher.operations().prune(retention));
        assert_eq!(one.unwrap().read_items + other.unwrap().read_items, 2_499);
        assert_eq!(app.inbox("u_7").await.len(), 1);
        assert_eq!(app.database.count("notifications").await, 1);
    }
}
