//! A row that the database refuses to change, by a trigger of the host's for example: the others are not affected, and it is not
//! sent again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, Kind, Running, both_databases};
use uuid::Uuid;

/// How often a pigeon flew to each recipient.
type Flown = Arc<Mutex<BTreeMap<String, u32>>>;

/// A dispatcher whose pigeons arrive, one after the other.
fn counting(app: &App) -> (Dispatcher, Flown) {
    let flown = Flown::default();
    let note = Arc::clone(&flown);
    let pigeons = PigeonSettings::new(move |delivery| {
        *note
            .lock()
            .unwrap()
            .entry(delivery.user_id.clone())
            .or_default() += 1;
        Flight::Ends(Verdict::accepted())
    });
    let builder = app.builder().with(pigeons);
    let builder = builder.tune(&PIGEON, |policy| policy.concurrency(1));
    (builder.build().unwrap(), flown)
}

async fn enqueue(app: &App, subject: &str, users: std::ops::Range<usize>) {
    let users: Vec<_> = users.map(|n| format!("u_{n}")).collect();
    for user in &users {
        app.address(user, "pigeon", "tower").await;
    }
    let notice = PigeonAlone { text: "x".into() }.about(subject).to(&users);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

/// A trigger of the host's.
struct Refusal(String);

impl Refusal {
    /// Refuses every change of a delivery of this user that matches the condition.
    async fn of(app: &App, user: &str, when: &str) -> Self {
        // Never the same name twice: an SQLite connection may not have seen yet that the last trigger is gone.
        let name = format!("refuse_{}", Uuid::now_v7().simple());
        let when = format!("when (new.user_id = '{user}' and {when})");
        let statement = match app.database.kind {
            Kind::Postgres => format!(
                "create or replace function refuse() returns trigger language plpgsql as \
                 $$ begin raise exception 'refused by the host'; end $$; \
                 create trigger {name} before update on campanile.notification_deliveries for each row {when} \
                 execute function refuse()"
            ),
            Kind::Sqlite => format!(
                "create trigger {name} before update on campanile_notification_deliveries {when} \
                 begin select raise(abort, 'refused by the host'); end"
            ),
        };
        app.database.execute(&statement).await;
        Self(name)
    }

    async fn end(self, app: &App) {
        let of = match app.database.kind {
            Kind::Postgres => " on campanile.notification_deliveries",
            Kind::Sqlite => "",
        };
        let statement = format!("drop trigger {}{of}", self.0);
        app.database.execute(&statement).await;
    }
}

both_databases! {
    async fn a_delivery_whose_verdict_is_refused_is_parked_and_the_others_are_recorded(app: App) {
        enqueue(&app, "a", 0..10).await;
        Refusal::of(&app, "u_3", "new.state = 'delivered'").await;
        let (dispatcher, flown) = counting(&app);
        for _ in 0..3 {
            dispatcher.deliver_due(10).await.unwrap();
            app.database.advance_deliveries().await;
        }
        // Nor does a starting worker retry it.
        let worker = Running::start(&dispatcher);
        enqueue(&app, "b", 4..5).await;
        app.eventually(async || app.database.deliveries("state = 'delivered'").await == 10).await;
        worker.stop().await;
        let twice: Vec<_> = flown.lock().unwrap().clone().into_iter().filter(|delivery| delivery.1 > 1).collect();
        assert_eq!(twice, [("u_4".to_owned(), 2)]);
        let parked = "user_id = 'u_3' and state = 'blocked' and blocked_as is null and maybe_sent and attempt = 1 \
             and worker is null and lease_until is null and last_error is not null";
        assert_eq!(app.database.deliveries(parked).await, 1);
        // It was tried, and the log contains the outcome.
        let accepted = "select count(*) from {campanile}notification_attempts where outcome = 'accepted'";
        assert_eq!(app.database.number(accepted).await, 11);
    }

    async fn a_row_that_cannot_be_changed_is_left_alone_and_does_not_affect_the_others(app: App) {
        enqueue(&app, "a", 0..10).await;
        let refusal = Refusal::of(&app, "u_3", "old.state = 'running'").await;
        let (dispatcher, flown) = counting(&app);
        dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'delivered'").await, 9);
        // Its lease expires, and it cannot even be claimed.
        refusal.end(&app).await;
        app.database.advance_deliveries().await;
        let refusal = Refusal::of(&app, "u_3", "old.state = 'running'").await;
        for (subject, process) in [("b", dispatcher.clone()), ("c", counting(&app).0)] {
            enqueue(&app, subject, 0..3).await;
            assert_eq!(process.deliver_due(10).await.unwrap().sent, 3, "{subject}");
        }
        refusal.end(&app).await;
        // The process that got the error leaves it alone for a while, and another takes it over.
        dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(flown.lock().unwrap()["u_3"], 1);
        let (third, flown) = counting(&app);
        assert_eq!(third.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(flown.lock().unwrap()["u_3"], 1);
        assert_eq!(app.database.deliveries("user_id = 'u_3' and state = 'delivered' and maybe_sent").await, 1);
    }

    async fn deliveries_of_a_batch_that_cannot_be_recorded_are_sent_one_by_one(app: App) {
        enqueue(&app, "a", 0..3).await;
        Refusal::of(&app, "u_1", "new.batch_id is not null").await;
        let keys = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&keys);
        let mut pigeons = PigeonSettings::new(move |delivery| {
            note.lock().unwrap().push(delivery.batch_key());
            Flight::Ends(Verdict::accepted())
        });
        pigeons.loft = 3;
        let keyed = app.builder().with(pigeons);
        let keyed = keyed.tune(&PIGEON, |policy| policy.key_lifetime(Duration::from_hours(24)));
        let dispatcher = keyed.build().unwrap();
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 3);
        assert_eq!(*keys.lock().unwrap(), [None, None, None]);
    }

    async fn a_lease_that_cannot_be_renewed_does_not_affect_the_others(app: App) {
        enqueue(&app, "a", 0..2).await;
        let gate = Arc::new(tokio::sync::Semaphore::new(0));
        let held = Arc::clone(&gate);
        let pigeons = PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
        let aloft = Arc::clone(&pigeons.aloft);
        let builder = app.builder().with(pigeons).lease(Duration::from_millis(1_500));
        let dispatcher = builder.attempt_timeout(Duration::from_mins(1)).build().unwrap();
        let share = tokio::spawn(async move { dispatcher.deliver_due(10).await.unwrap() });
        app.eventually(async || aloft.now() == 2).await;
        Refusal::of(&app, "u_1", "old.state = 'running' and new.state = 'running'").await;
        // The lease of the one expires; the other's is renewed.
        let lease = "select {micros(lease_until)} from {campanile}notification_deliveries where user_id = 'u_1'";
        let ends = app.database.number(lease).await;
        app.eventually(async || app.database.deliveries(&format!("{{now_micros}} > {ends}")).await == 2).await;
        assert_eq!(app.database.deliveries("user_id = 'u_0' and lease_until > {now}").await, 1);
        gate.add_permits(2);
        assert_eq!(share.await.unwrap().sent, 2);
    }
}
