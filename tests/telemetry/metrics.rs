//! Metrics: those that `campanile::telemetry` documents, with their labels, and no personal data in any.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::{DeliveryError, ErrorClass, Verdict};
use campanile::preferences::Choice;
use campanile::{Dispatcher, Notice, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::{PigeonAlone, PigeonExpected};
use campanile_tests::{App, Running};
use tokio::sync::Semaphore;

use crate::alone;
use crate::figures::{Figures, check, look};

fn alone_to(users: &[&str]) -> Notice {
    let text = "canary-text".to_owned();
    PigeonAlone { text }.about("canary-subject").to(users)
}

/// Each pigeon ends as its recipient's name says.
fn by_name(app: &App) -> Dispatcher {
    let bounced = DeliveryError::new("no such tower").with_class(ErrorClass::Bounced);
    let pigeons = PigeonSettings::new(move |delivery| {
        Flight::Ends(match delivery.user_id.as_str() {
            "u_canary_busy" => Verdict::retry("busy"),
            "u_canary_gone" => Verdict::permanent(bounced.clone()),
            "u_canary_unheard" => Verdict::unknown("no answer"),
            _ => Verdict::accepted(),
        })
    });
    app.builder().with(pigeons).build().unwrap()
}

#[test]
fn notifications_deliveries_and_attempts_are_counted_by_outcome() {
    alone(async |app| {
        let users = [
            "u_canary_well",
            "u_canary_busy",
            "u_canary_gone",
            "u_canary_unheard",
        ];
        for user in users {
            app.address(user, "pigeon", "canary-address").await;
        }
        for channel in ["inbox", "pigeon"] {
            app.choose("u_canary_mute", "loft", channel, Choice::Off)
                .await;
        }
        let dispatcher = by_name(&app);
        look();
        for _ in 0..2 {
            let expected = PigeonExpected {
                title: "canary-title".into(),
                text: "canary-text".into(),
            };
            let notice = expected.to(users).to(["u_canary_nowhere", "u_canary_mute"]);
            let _ = dispatcher.dispatch(notice).await.unwrap();
        }
        let figures = look();
        check(
            &figures,
            &[
                (
                    "campanile.notifications{event_type=loft.pigeon.expected,outcome=admitted}",
                    5,
                ),
                (
                    "campanile.notifications{event_type=loft.pigeon.expected,outcome=deduped}",
                    5,
                ),
                (
                    "campanile.notifications{event_type=loft.pigeon.expected,outcome=suppressed}",
                    2,
                ),
                (&delivered("delivered"), 1),
                (&delivered("pending"), 2),
                (&delivered("dead"), 1),
                (&delivered("unreachable"), 1),
                (&sent("", "accepted"), 1),
                (&sent("unavailable", "retry"), 1),
                (&sent("bounced", "permanent"), 1),
                (&sent("timeout", "unknown"), 1),
                (&sent("", "unreachable"), 1),
                (
                    "messaging.client.operation.duration{messaging.destination.name=pigeon,\
                     messaging.operation.name=deliver,messaging.system=campanile}",
                    4,
                ),
            ],
        );
        names_nobody(&figures);
    });
}

fn delivered(state: &str) -> String {
    format!("campanile.deliveries{{messaging.destination.name=pigeon,state={state}}}")
}

fn sent(error: &str, outcome: &str) -> String {
    format!(
        "messaging.client.sent.messages{{error.type={error},messaging.destination.name=pigeon,\
         messaging.system=campanile,outcome={outcome}}}"
    )
}

#[track_caller]
fn names_nobody(figures: &Figures) {
    let named: Vec<_> = figures
        .keys()
        .filter(|figure| figure.contains("canary"))
        .collect();
    assert!(named.is_empty(), "{named:?}");
}

#[test]
fn a_running_worker_measures_its_queues_and_paused_channels() {
    alone(async |app| {
        app.address("u_canary", "pigeon", "canary-address").await;
        app.dispatcher
            .operations()
            .pause_channel("pigeon", "canary-reason")
            .await
            .unwrap();
        let _ = app
            .dispatcher
            .enqueue(alone_to(&["u_canary", "u_canary_b", "u_canary_c"]))
            .await
            .unwrap();
        let dead = "state = 'dead', finished_at = {now} where user_id = 'u_canary_c'";
        app.database.change_deliveries(dead).await;
        app.database
            .change_deliveries("run_at = {earlier(90000000)}")
            .await;
        look();
        let worker = Running::start(&app.dispatcher);
        let of = |metric: &str, labels: &str| {
            format!("campanile.{metric}{{messaging.destination.name={labels}}}")
        };
        let paused = of("channel.paused", "pigeon");
        // It is the last one that the maintenance measures, but a read may happen between two gauges.
        let seen = Mutex::new(Figures::new());
        app.eventually(async || {
            let mut seen = seen.lock().unwrap();
            seen.extend(look());
            seen.contains_key(&paused)
        })
        .await;
        worker.stop().await;
        let mut seen = seen.into_inner().unwrap();
        let age = seen.remove(&of("queue.oldest.age", "pigeon")).unwrap();
        assert!((90.0..1_000.0).contains(&age), "{age}");
        check(
            &seen,
            &[
                (&of("queue.depth", "pigeon,state=pending"), 2),
                (&of("queue.depth", "pigeon,state=dead"), 1),
                (&paused, 1),
            ],
        );
    });
}

#[test]
fn a_lease_that_is_taken_over_is_counted_once_as_lost_and_once_as_rescued() {
    alone(async |app| {
        app.address("u_canary", "pigeon", "canary-address").await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let pigeons =
            PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
        let builder = app.builder().with(pigeons.clone());
        let builder = builder.attempt_timeout(Duration::from_mins(1));
        let builder = builder.lease(Duration::from_millis(600));
        let builder = builder.tune(&PIGEON, |policy| policy.concurrency(1));
        let slow = builder.build().unwrap();
        let _ = slow.enqueue(alone_to(&["u_canary"])).await.unwrap();
        let working = slow.clone();
        let share = tokio::spawn(async move { working.deliver_due(10).await.unwrap() });
        app.eventually(async || pigeons.aloft.now() == 1).await;
        look();
        // It may be renewed once more before it is taken over.
        app.eventually(async || {
            app.database
                .change_deliveries("lease_until = {earlier(1)}")
                .await;
            app.dispatcher.deliver_due(10).await.unwrap().sent == 1
        })
        .await;
        let rescued = "campanile.leases.rescued{messaging.destination.name=pigeon}";
        let lost = "campanile.leases.lost{messaging.destination.name=pigeon}";
        let seen = Mutex::new(Figures::new());
        let count = || {
            let mut seen = seen.lock().unwrap();
            for (name, value) in look() {
                *seen.entry(name).or_default() += value;
            }
            seen.contains_key(lost)
        };
        // The heartbeat detects it, and so does the verdict, which is too late.
        app.eventually(async || count()).await;
        gate.add_permits(1);
        share.await.unwrap();
        count();
        let seen = seen.into_inner().unwrap();
        assert_eq!(
            (seen.get(rescued), seen.get(lost)),
            (Some(&1.0), Some(&1.0))
        );
        names_nobody(&seen);
    });
}
