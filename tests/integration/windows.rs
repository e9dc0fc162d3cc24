//! **Windows** after the commit: released if the system failed to notify the recipient, kept if the recipient was or may have
//! been notified, or cannot be reached.

use campanile::channel::Verdict;
use campanile::database::Pool;
use campanile::operate::DeliveryFilter;
use campanile::preferences::Choice;
use campanile::{Dispatcher, Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::database::run;
use campanile_tests::events::{MailOrPush, PigeonAlone, PigeonExpected, SeedOffered};
use campanile_tests::{App, Kind, Running, both_databases};
use sqlx::{Postgres, Transaction};

fn alone(user: &str) -> Notice {
    PigeonAlone { text: "x".into() }.about("a").to([user])
}

/// A dispatcher whose pigeons end with this verdict.
fn pigeons(app: &App, verdict: Verdict) -> Dispatcher {
    let pigeons = PigeonSettings::new(move |_| Flight::Ends(verdict.clone()));
    app.builder().with(pigeons).build().unwrap()
}

fn refusing(app: &App) -> Dispatcher {
    pigeons(app, Verdict::permanent("no such tower"))
}

both_databases! {
    async fn the_window_of_a_notification_that_the_system_failed_to_deliver_is_released(app: App) {
        let report = refusing(&app).dispatch(alone("u_ada")).await.unwrap();
        assert_eq!((report.admitted, report.failed), (1, 1));
        assert_eq!(app.database.count("notification_dedup").await, 0);
        assert_eq!(app.dispatcher.dispatch(alone("u_ada")).await.unwrap().sent, 1);
        assert_eq!(app.dispatcher.dispatch(alone("u_ada")).await.unwrap().deduped, 1);
    }

    async fn the_window_of_an_expired_notification_is_released(app: App) {
        let seed = || SeedOffered { text: "x".into() }.about("a").to(["u_ada"]);
        let _ = app.dispatcher.enqueue(seed()).await.unwrap();
        app.database.change_deliveries("expires_at = {earlier(1)}").await;
        app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'expired'").await, 1);
        assert_eq!(app.dispatcher.dispatch(seed()).await.unwrap().sent, 1);
    }

    async fn a_person_without_an_address_is_notified_once_in_a_window(app: App) {
        let mut admitted = 0;
        for _ in 0..10 {
            let report = app.dispatcher.dispatch(alone("u_nowhere")).await.unwrap();
            admitted += report.admitted;
        }
        assert_eq!(admitted, 1);
        assert_eq!(app.database.count("notification_dispatches").await, 1);
        assert_eq!(app.database.deliveries("state = 'unreachable'").await, 1);
        assert_eq!(app.database.count("notification_attempts").await, 1);
    }

    async fn a_suppressed_address_and_an_opt_out_keep_the_window(app: App) {
        app.suppress("u_bob@example.com").await;
        let door = || MailOrPush {}.about("a").to(["u_bob"]);
        let report = app.dispatcher.dispatch(door()).await.unwrap();
        assert_eq!((report.suppressed_addresses, report.unreachable), (1, 1));
        assert_eq!(app.dispatcher.dispatch(door()).await.unwrap().deduped, 1);
        let _ = app.dispatcher.enqueue(alone("u_ada")).await.unwrap();
        app.choose("u_ada", "loft", "pigeon", Choice::Off).await;
        app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'suppressed' and user_id = 'u_ada'").await, 1);
        app.choose("u_ada", "loft", "pigeon", Choice::On).await;
        assert_eq!(app.dispatcher.dispatch(alone("u_ada")).await.unwrap().deduped, 1);
    }

    async fn the_window_of_a_cancelled_notification_is_released(app: App) {
        let _ = app.dispatcher.enqueue(alone("u_ada")).await.unwrap();
        cancel(&app).await;
        assert_eq!(app.dispatcher.dispatch(alone("u_ada")).await.unwrap().sent, 1);
    }

    async fn a_window_is_kept_while_an_inbox_row_or_another_channel_has_reached_or_may_reach_the_recipient(app: App) {
        // The inbox row exists.
        let with_inbox = || PigeonExpected::default().about("a").to(["u_new"]);
        let _ = app.dispatcher.dispatch(with_inbox()).await.unwrap();
        assert_eq!(app.dispatcher.dispatch(with_inbox()).await.unwrap().deduped, 1);
        // The mail was sent, the device is unreachable.
        let two = || MailOrPush {}.about("a").to(["u_bob"]);
        assert_eq!(app.dispatcher.dispatch(two()).await.unwrap().sent, 1);
        assert_eq!(app.dispatcher.dispatch(two()).await.unwrap().deduped, 1);
        // A pigeon that failed will be retried.
        let storm = PigeonSettings::new(|_| {
            Flight::Ends(Verdict::retry("storm"))
        });
        let dispatcher = app.builder().with(storm).build().unwrap();
        let alone = || PigeonAlone { text: "x".into() }.about("a").to(["u_ada"]);
        assert_eq!(dispatcher.dispatch(alone()).await.unwrap().failed, 1);
        assert_eq!(dispatcher.dispatch(alone()).await.unwrap().deduped, 1);
    }

    async fn a_delivery_that_ends_as_unknown_keeps_its_window(app: App) {
        let lost = PigeonSettings::new(|_| {
            Flight::Ends(Verdict::unknown("no answer"))
        });
        let builder = app.builder().with(lost).tune(&PIGEON, |policy| policy.max_attempts(12).max_lost_answers(12));
        let dispatcher = builder.build().unwrap();
        let alone = || PigeonAlone { text: "x".into() }.about("a").to(["u_ada"]);
        let _ = dispatcher.dispatch(alone()).await.unwrap();
        for _ in 0..11 {
            app.database.advance_deliveries().await;
            assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        }
        let unknown = "select count(*) from {campanile}notification_deliveries where state = 'unknown' and attempt = 12";
        assert_eq!(app.database.number(unknown).await, 1);
        app.database.advance_deliveries().await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        // It may have arrived: the next fire is a repeat.
        assert_eq!(dispatcher.dispatch(alone()).await.unwrap().deduped, 1);
    }
}

async fn cancel(app: &App) {
    let deliveries = app
        .dispatcher
        .operations()
        .deliveries(DeliveryFilter::default())
        .await;
    let delivery = &deliveries.unwrap()[0];
    app.dispatcher
        .operations()
        .cancel_delivery(delivery.id)
        .await
        .unwrap();
}

/// A transaction that locks every window; only Postgres has row locks.
async fn hold(app: &App) -> Transaction<'static, Postgres> {
    let Pool::Postgres(pool) = app.database.database.pool() else {
        panic!("this is Postgres");
    };
    let mut holder = pool.begin_with("begin").await.unwrap();
    sqlx::query("select 1 from campanile.notification_dedup for update")
        .execute(&mut *holder)
        .await
        .unwrap();
    holder
}

#[test]
fn a_window_that_was_locked_is_released_later_by_any_process_that_delivers() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let _ = app.dispatcher.enqueue(alone("u_ada")).await.unwrap();
        let holder = hold(&app).await;
        refusing(&app).deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'dead'").await, 1);
        let another = refusing(&app);
        another.deliver_due(10).await.unwrap();
        assert_eq!(app.database.count("notification_dedup").await, 1);
        holder.rollback().await.unwrap();
        another.deliver_due(10).await.unwrap();
        assert_eq!(app.database.count("notification_dedup").await, 0);
        assert_eq!(app.database.count("notification_held_windows").await, 0);
    });
}

#[test]
fn a_window_that_was_locked_during_the_cancel_is_released_later_by_any_worker() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let _ = app.dispatcher.enqueue(alone("u_ada")).await.unwrap();
        let holder = hold(&app).await;
        cancel(&app).await;
        assert_eq!(app.database.count("notification_dedup").await, 1);
        holder.rollback().await.unwrap();
        let worker = Running::start(&refusing(&app));
        app.eventually(async || app.database.count("notification_dedup").await == 0)
            .await;
        worker.stop().await;
    });
}

#[test]
fn a_window_that_its_lock_holder_renewed_stays() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let _ = app.dispatcher.enqueue(alone("u_ada")).await.unwrap();
        let mut holder = hold(&app).await;
        refusing(&app).deliver_due(10).await.unwrap();
        sqlx::query("update campanile.notification_dedup set notification_id = gen_random_uuid()")
            .execute(&mut *holder)
            .await
            .unwrap();
        holder.commit().await.unwrap();
        refusing(&app).deliver_due(10).await.unwrap();
        assert_eq!(app.database.count("notification_dedup").await, 1);
        assert_eq!(app.database.count("notification_held_windows").await, 0);
    });
}
