//! A channel whose calls may take minutes: they are not taken over, not waited for, and do not delay anything else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, Running, both_databases};
use tokio::sync::Semaphore;

const LEASE: Duration = Duration::from_millis(900);

/// A dispatcher that waits half a second for a channel, whose calls may take an hour. The pigeon to `slow` waits at a gate.
struct Slow {
    dispatcher: Dispatcher,
    pigeons: PigeonSettings,
    gate: Arc<Semaphore>,
    begun: Arc<Mutex<Vec<String>>>,
}

impl Slow {
    async fn over(app: &App, concurrency: usize) -> Self {
        app.address("slow", "pigeon", "tower").await;
        let gate = Arc::new(Semaphore::new(0));
        let begun: Arc<Mutex<Vec<String>>> = Arc::default();
        let (held, note) = (Arc::clone(&gate), Arc::clone(&begun));
        let pigeons = PigeonSettings::new(move |delivery| {
            note.lock().unwrap().push(delivery.user_id.clone());
            if delivery.user_id == "slow" {
                Flight::WaitsAt(Arc::clone(&held), Verdict::accepted())
            } else {
                Flight::Ends(Verdict::accepted())
            }
        });
        let builder = app.builder().with(pigeons.clone()).lease(LEASE);
        let builder = builder.attempt_timeout(Duration::from_millis(500));
        let dispatcher = builder.tune(&PIGEON, move |policy| {
            let policy = policy.attempt_timeout(Duration::from_hours(1));
            policy.concurrency(concurrency)
        });
        Self {
            dispatcher: dispatcher.build().unwrap(),
            pigeons,
            gate,
            begun,
        }
    }

    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

both_databases! {
    async fn a_dispatch_does_not_wait_for_a_long_call_and_no_worker_takes_it_over(app: App) {
        let slow = Slow::over(&app, 8).await;
        let notice = PigeonExpected::default().to(["slow", "u_ada"]);
        let report = slow.dispatcher.dispatch(notice).await.unwrap();
        assert_eq!((report.sent, report.queued), (3, 1), "{report:?}");
        assert_eq!(app.database.deliveries("state = 'delivered' and user_id = 'u_ada'").await, 1);
        // The lease under the call is renewed although its dispatch is over.
        let renewed = "state = 'running' and {micros(lease_until)} - {micros(created_at)} > 3000000";
        app.eventually(async || {
            assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
            app.database.deliveries(renewed).await == 1
        }).await;
        slow.gate.add_permits(1);
        app.eventually(async || app.database.deliveries("state = 'delivered'").await == 2).await;
        assert_eq!(app.database.deliveries("attempt = 1 and not maybe_sent and lost_answers = 0").await, 2);
        assert_eq!(slow.begun().len(), 2);
    }

    async fn a_worker_continues_during_a_long_call_and_records_it_before_it_stops(app: App) {
        let slow = Slow::over(&app, 8).await;
        let worker = Running::start_as(
            campanile::Worker::new(slow.dispatcher.clone()).poll_interval(Duration::from_millis(10)).tasks(1),
        );
        let _ = app.dispatcher.enqueue(PigeonExpected::default().about("a").to(["slow"])).await.unwrap();
        app.eventually(async || slow.pigeons.aloft.now() == 1).await;
        for subject in ["b", "c"] {
            let _ = app.dispatcher.enqueue(PigeonExpected::default().about(subject).to(["u_ada"])).await.unwrap();
            let delivered = format!(
                "state = 'delivered' and dispatch_id in (select id from {{campanile}}notification_dispatches where subject_id = '{subject}')"
            );
            app.eventually(async || app.database.deliveries(&delivered).await == 1).await;
        }
        let gate = Arc::clone(&slow.gate);
        let opened = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            gate.add_permits(1);
        });
        worker.stop().await;
        opened.await.unwrap();
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 1").await, 3);
    }

    async fn nothing_is_claimed_while_long_calls_hold_every_permit(app: App) {
        let slow = Slow::over(&app, 1).await;
        let notice = PigeonExpected::default().about("a").to(["slow"]);
        assert_eq!(slow.dispatcher.dispatch(notice).await.unwrap().queued, 1);
        let _ = app.dispatcher.enqueue(PigeonExpected::default().about("b").to(["u_ada"])).await.unwrap();
        assert_eq!(slow.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        slow.gate.add_permits(1);
        app.eventually(async || slow.dispatcher.deliver_due(10).await.unwrap().sent == 1).await;
        assert_eq!(slow.begun(), ["slow", "u_ada"]);
    }

    async fn other_verdicts_are_recorded_while_one_call_takes_long(app: App) {
        let slow = Slow::over(&app, 8).await;
        let _ = app.dispatcher.enqueue(PigeonExpected::default().to(["slow", "u_ada", "u_bob"])).await.unwrap();
        let attempted = slow.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(attempted.claimed, 3);
        app.eventually(async || app.database.deliveries("state = 'delivered'").await == 2).await;
        assert_eq!(app.database.deliveries("state = 'running'").await, 1);
        slow.gate.add_permits(1);
        app.eventually(async || app.database.deliveries("state = 'delivered'").await == 3).await;
    }
}
