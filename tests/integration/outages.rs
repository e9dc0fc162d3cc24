//! Outages that are longer than the horizon: a delivery that could not be tried uses no attempt, waits for days, and its error
//! says so when it is dead.

use std::time::Duration;

use campanile::channel::Policy;
use campanile::channel::{DeliveryError, ErrorClass, Verdict};
use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_email::{EmailSettings, Smtp};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, both_databases};

const HOUR: i64 = 3_600_000_000;

/// A new process, so that only the rows decide: its mail server refuses connections.
fn without_connection(app: &App) -> Dispatcher {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let smtp = Smtp::new(format!("smtp://127.0.0.1:{port}")).unwrap();
    let settings = EmailSettings::new("Tower <bells@example.com>", smtp);
    app.builder().with(settings).build().unwrap()
}

/// A new process whose pigeons end with this verdict.
fn pigeons(app: &App, verdict: Verdict) -> Dispatcher {
    let pigeons = PigeonSettings::new(move |_| Flight::Ends(verdict.clone()));
    let tuning = |policy: Policy| policy.key_lifetime(Duration::from_hours(24));
    let builder = app.builder().with(pigeons).tune(&PIGEON, tuning);
    builder.build().unwrap()
}

/// Lets this many hours pass, after which everything is due.
async fn wait(app: &App, hours: i64) {
    app.database.advance_clock(hours * HOUR).await;
    app.database.advance_deliveries().await;
}

fn alone() -> campanile::Notice {
    PigeonAlone { text: "x".into() }.about("a").to(["u_ada"])
}

fn no_connection() -> Verdict {
    Verdict::retry(DeliveryError::new("refused").with_class(ErrorClass::Connect))
}

fn quota() -> Verdict {
    Verdict::Retry {
        after: Some(Duration::from_hours(24)),
        error: DeliveryError::new("daily quota").with_status(429),
    }
}

both_databases! {
    async fn mail_survives_a_weekend_without_a_connection(app: App) {
        let _ = app.dispatcher.enqueue(app.past_due().to(["u_ada"])).await.unwrap();
        for (round, hours) in [0, 6, 14, 40].into_iter().enumerate() {
            wait(&app, hours).await;
            assert_eq!(without_connection(&app).deliver_due(10).await.unwrap().claimed, 1);
            let waits = format!(
                "state = 'pending' and attempt = uncounted and first_attempt_at is null and outage_rounds = {}", round + 1
            );
            assert_eq!(app.database.deliveries(&waits).await, 1, "after {hours} h");
        }
        wait(&app, 0).await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.mails().len(), 1);
    }

    async fn a_delivery_that_could_not_be_tried_for_days_is_dead_and_its_error_says_so(app: App) {
        for verdict in [no_connection(), quota()] {
            app.database.execute("delete from {campanile}notification_deliveries").await;
            app.database.execute("delete from {campanile}notification_dedup").await;
            let _ = app.dispatcher.enqueue(alone()).await.unwrap();
            // One round for each day: each is run by a process that knows nothing about the one before.
            for _ in 0..4 {
                assert_eq!(pigeons(&app, verdict.clone()).deliver_due(10).await.unwrap().claimed, 1);
                assert_eq!(app.database.deliveries("state = 'pending' and attempt = uncounted").await, 1);
                wait(&app, 23).await;
            }
            wait(&app, 5).await;
            assert_eq!(pigeons(&app, verdict).deliver_due(10).await.unwrap().claimed, 1);
            assert_eq!(app.database.deliveries("state = 'dead' and last_error like 'nothing could be tried for 4 days: %'").await, 1);
        }
    }

    async fn an_outage_does_not_count_towards_the_horizon_of_an_unsent_delivery(app: App) {
        // Refused once, then two days without a connection, then refused again: two attempts in a short time.
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        pigeons(&app, Verdict::retry("busy")).deliver_due(10).await.unwrap();
        for hours in [1, 24, 24] {
            wait(&app, hours).await;
            pigeons(&app, no_connection()).deliver_due(10).await.unwrap();
        }
        wait(&app, 0).await;
        pigeons(&app, Verdict::retry("busy")).deliver_due(10).await.unwrap();
        let young = format!(
            "state = 'pending' and attempt - uncounted = 2 and outage_since is null and outage_rounds = 0 \
             and {{now_micros}} - {{micros(first_attempt_at)}} < {}", 2 * HOUR
        );
        assert_eq!(app.database.deliveries(&young).await, 1);
    }

    async fn a_delivery_that_may_have_been_sent_keeps_its_horizon_in_an_outage_and_ends_as_unknown(app: App) {
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        pigeons(&app, Verdict::unknown("no answer")).deliver_due(10).await.unwrap();
        wait(&app, 12).await;
        pigeons(&app, no_connection()).deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'pending' and maybe_sent").await, 1);
        wait(&app, 9).await;
        pigeons(&app, no_connection()).deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'unknown'").await, 1);
    }

    async fn the_outage_limit_is_a_setting(app: App) {
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        let short = || {
            let pigeons = PigeonSettings::new(|_| Flight::Ends(no_connection()));
            let builder = app.builder().with(pigeons);
            builder.tune(&PIGEON, |policy| policy.outage(Duration::from_hours(2))).build().unwrap()
        };
        short().deliver_due(10).await.unwrap();
        wait(&app, 3).await;
        short().deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'dead' and last_error like 'nothing could be tried for 3 hours: %'").await, 1);
    }
}
