//! Leases: while a process works, no other takes over its running deliveries; when it is lost, any other does, and a process that
//! lost its lease starts nothing more and changes nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::operate::DeliveryHistory;
use campanile::{Attempted, Dispatcher, NotifiableEvent as _};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A dispatcher whose pigeons wait at a gate, with a lease of this length.
struct Gated {
    dispatcher: Dispatcher,
    pigeons: PigeonSettings,
    gate: Arc<Semaphore>,
    /// The recipients whose pigeons have started.
    begun: Arc<Mutex<Vec<String>>>,
}

impl Gated {
    fn over(app: &App, lease: Duration, verdict: Verdict) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let begun = Arc::default();
        let (held, note) = (Arc::clone(&gate), Arc::clone(&begun));
        let pigeons = PigeonSettings::new(move |delivery| {
            let note: &Mutex<Vec<String>> = &note;
            note.lock().unwrap().push(delivery.user_id.clone());
            Flight::WaitsAt(Arc::clone(&held), verdict.clone())
        });
        let builder = app.builder().with(pigeons.clone()).lease(lease);
        let builder = builder.attempt_timeout(Duration::from_mins(1));
        let dispatcher = builder.tune(&PIGEON, |attempt| attempt.concurrency(1));
        Self {
            dispatcher: dispatcher.build().unwrap(),
            pigeons,
            gate,
            begun,
        }
    }

    /// Delivers due deliveries, in a separate task, until the first pigeon is at the gate.
    async fn take_off(&self, app: &App) -> JoinHandle<Attempted> {
        let dispatcher = self.dispatcher.clone();
        let task = tokio::spawn(async move { dispatcher.deliver_due(10).await.unwrap() });
        app.eventually(async || self.pigeons.aloft.now() == 1).await;
        task
    }
}

async fn enqueue(app: &App, users: &[&str]) {
    for user in users {
        app.address(user, "pigeon", "tower").await;
    }
    let notice = PigeonExpected::default().to(users);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

/// When the leases of running deliveries end: one time for all that are renewed together.
async fn latest_lease(app: &App) -> i64 {
    app.database
        .number("select coalesce(max({micros(lease_until)}), 0) from {campanile}notification_deliveries where worker is not null")
        .await
}

/// Deliveries that another claim of the same process holds for a minute.
const CLAIMED_ANEW: &str =
    "state = 'running' and claim = {uuid('00000000-0000-0000-0000-0000000000c1')}";

/// As if all except the started one had been given back, and claimed again by the same process. Returns the started one.
async fn claim_the_others_anew(app: &App, gated: &Gated) -> String {
    let begun = gated.begun.lock().unwrap()[0].clone();
    let claim =
        "claim = {uuid('00000000-0000-0000-0000-0000000000c1')}, lease_until = {later(60000000)}";
    app.database
        .change_deliveries(&format!("{claim} where user_id <> '{begun}'"))
        .await;
    begun
}

async fn history(app: &App) -> DeliveryHistory {
    let notifications = "select {text(notification_id)} from {campanile}notification_deliveries";
    let notifications = app.database.texts(notifications).await;
    let [Some(notification)] = &notifications[..] else {
        panic!("{notifications:?}");
    };
    let notification = Uuid::parse_str(notification).unwrap();
    app.dispatcher
        .operations()
        .history(notification)
        .await
        .unwrap()
}

both_databases! {
    /// G2 and the workers of other processes depend on it.
    async fn a_lease_is_thirty_seconds_long_by_default(app: App) {
        app.address("u_ada", "pigeon", "tower").await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let pigeons = PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
        let dispatcher = app.builder().with(pigeons.clone()).build().unwrap();
        let dispatch = tokio::spawn(async move { dispatcher.dispatch(PigeonExpected::default().to(["u_ada"])).await.unwrap() });
        app.eventually(async || pigeons.aloft.now() == 1).await;
        let lease = "select {micros(lease_until)} - {micros(created_at)} from {campanile}notification_deliveries \
            where channel = 'pigeon'";
        assert_eq!(app.database.number(lease).await, 30_000_000);
        gate.add_permits(1);
        assert_eq!(dispatch.await.unwrap().failed, 0);
    }

    async fn an_attempt_that_outlasts_its_lease_is_not_taken_over_while_its_process_runs(app: App) {
        enqueue(&app, &["u_ada"]).await;
        let slow = Gated::over(&app, Duration::from_millis(1_500), Verdict::accepted());
        let share = slow.take_off(&app).await;
        let first_lease = latest_lease(&app).await;
        // The first lease is over, and was renewed in time.
        let outlasted = format!("{{now_micros}} > {first_lease} and lease_until > {{now}}");
        app.eventually(async || {
            assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
            app.database.deliveries(&outlasted).await == 1
        }).await;
        slow.gate.add_permits(1);
        assert_eq!(share.await.unwrap().sent, 1);
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 1 and not maybe_sent").await, 1);
        assert_eq!(app.database.count("notification_attempts").await, 1);
    }

    async fn a_late_verdict_of_an_old_claim_does_not_settle_the_next_claim_of_the_same_process(app: App) {
        enqueue(&app, &["u_ada"]).await;
        let gated = Gated::over(&app, Duration::from_mins(1), Verdict::permanent("no such tower"));
        let first = gated.take_off(&app).await;
        // As if the first claim had been given back, but the answer to that had been lost: the number of its attempt is free
        // again.
        app.database.change_deliveries(
            "state = 'pending', attempt = attempt - 1, lease_until = null, worker = null, run_at = {earlier(1)}"
        ).await;
        let dispatcher = gated.dispatcher.clone();
        let second = tokio::spawn(async move { dispatcher.deliver_due(10).await.unwrap() });
        let running = "state = 'running' and attempt = 1 and worker is not null";
        app.eventually(async || app.database.deliveries(running).await == 1).await;
        gated.gate.add_permits(1);
        assert_eq!(first.await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries(running).await, 1);
        gated.gate.add_permits(1);
        assert_eq!(second.await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries("state = 'dead' and attempt = 1 and worker is null").await, 1);
    }

    async fn a_delivery_that_the_same_process_has_reclaimed_is_not_sent_by_the_earlier_round(app: App) {
        enqueue(&app, &["u_1", "u_2", "u_3"]).await;
        let gated = Gated::over(&app, Duration::from_mins(1), Verdict::accepted());
        let share = gated.take_off(&app).await;
        let begun = claim_the_others_anew(&app, &gated).await;
        // Data read at the claim is fresh for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(150)).await;
        gated.gate.add_permits(10);
        assert_eq!(share.await.unwrap().claimed, 3);
        assert_eq!(*gated.begun.lock().unwrap(), [begun]);
        assert_eq!(app.database.deliveries(CLAIMED_ANEW).await, 2);
    }

    async fn a_lease_is_not_renewed_by_an_old_claim(app: App) {
        enqueue(&app, &["u_1", "u_2", "u_3"]).await;
        let gated = Gated::over(&app, Duration::from_millis(900), Verdict::accepted());
        let share = gated.take_off(&app).await;
        let begun = claim_the_others_anew(&app, &gated).await;
        let own = format!("select {{micros(lease_until)}} from {{campanile}}notification_deliveries where user_id = '{begun}'");
        for _ in 0..2 {
            let before = app.database.number(&own).await;
            app.eventually(async || app.database.number(&own).await > before).await;
        }
        let renewed = format!("{CLAIMED_ANEW} and lease_until < {{later(30000000)}}");
        assert_eq!(app.database.deliveries(&renewed).await, 0);
        gated.gate.add_permits(10);
        assert_eq!(share.await.unwrap().claimed, 3);
    }

    async fn a_worker_of_the_previous_version_takes_over_and_is_not_disturbed(app: App) {
        enqueue(&app, &["u_ada"]).await;
        let cut_off = Gated::over(&app, Duration::from_mins(1), Verdict::permanent("no such tower"));
        let share = cut_off.take_off(&app).await;
        // It knows nothing about claims, and does not change them.
        app.database.change_deliveries(
            "attempt = attempt + 1, lease_until = {later(60000000)}, worker = {uuid('00000000-0000-0000-0000-00000000dead')}"
        ).await;
        cut_off.gate.add_permits(1);
        assert_eq!(share.await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries("state = 'running' and attempt = 2").await, 1);
        // Deliveries that it left running are taken over in turn.
        app.database.change_deliveries("lease_until = {earlier(1)}").await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 3 and claim is null").await, 1);
    }

    async fn a_process_that_lost_its_leases_starts_no_further_batch_of_its_round(app: App) {
        enqueue(&app, &["u_1", "u_2", "u_3", "u_4"]).await;
        let cut_off = Gated::over(&app, Duration::from_millis(900), Verdict::accepted());
        let share = cut_off.take_off(&app).await;
        // Another worker takes over all except one, as if this process had been silent for longer than its lease.
        let begun = cut_off.begun.lock().unwrap()[0].clone();
        app.database.change_deliveries(&format!(
            "attempt = attempt + 1, worker = null, lease_until = {{later(60000000)}} where user_id <> '{begun}'"
        )).await;
        // The second renewal after that happens when the result of the first one has been applied.
        for _ in 0..2 {
            let before = latest_lease(&app).await;
            app.eventually(async || latest_lease(&app).await > before).await;
        }
        cut_off.gate.add_permits(10);
        assert_eq!(share.await.unwrap().claimed, 4);
        assert_eq!(*cut_off.begun.lock().unwrap(), [begun]);
        assert_eq!(app.database.deliveries("state = 'running' and attempt = 2").await, 3);
    }

    async fn a_lost_workers_attempt_is_logged_as_lost_until_its_own_late_verdict_replaces_that(app: App) {
        enqueue(&app, &["u_ada"]).await;
        let lost = Gated::over(&app, Duration::from_mins(1), Verdict::permanent("no such tower"));
        let share = lost.take_off(&app).await;
        let workers = app.database.texts("select {text(worker)} from {campanile}notification_deliveries").await;
        app.database.change_deliveries("lease_until = {earlier(1)}").await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);

        let log = history(&app).await.attempts;
        let [first, second] = &log[..] else { panic!("{log:?}") };
        assert_eq!((first.attempt, first.outcome.as_str()), (1, "lost"));
        assert_eq!(Some(first.worker.to_string()), workers[0]);
        assert_eq!((second.attempt, second.outcome.as_str()), (2, "accepted"));
        assert_ne!(second.worker, first.worker);

        lost.gate.add_permits(1);
        assert_eq!(share.await.unwrap().claimed, 1);
        let log = history(&app).await.attempts;
        let outcomes: Vec<_> = log.iter().map(|entry| (entry.attempt, entry.outcome.as_str(), entry.worker)).collect();
        assert_eq!(outcomes, [(1, "permanent", first.worker), (2, "accepted", second.worker)]);
        assert_eq!(log[0].error.as_deref(), Some("no such tower"));
        // Recorded much later, it seems to have begun after the second.
        app.database.execute("update {campanile}notification_attempts set started_at = {later(1000000)} where attempt = 1").await;
        let log = history(&app).await.attempts;
        assert_eq!(log.iter().map(|entry| entry.attempt).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 2 and last_error is null").await, 1);
    }

    async fn deliveries_taken_over_from_a_dead_worker_are_marked_as_maybe_sent_for_the_channel(app: App) {
        enqueue(&app, &["u_ada"]).await;
        app.database.execute(
            "update {campanile}notification_deliveries set state = 'running', attempt = 1, lease_until = {earlier(1)}, \
             worker = {uuid('00000000-0000-0000-0000-00000000dead')}",
        ).await;
        enqueue(&app, &["u_bob"]).await;
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let pigeons = PigeonSettings::new(move |delivery| {
            tell.lock().unwrap().push((delivery.user_id.clone(), delivery.attempt, delivery.maybe_sent));
            Flight::Ends(Verdict::accepted())
        });
        let dispatcher = app.builder().with(pigeons).build().unwrap();
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 2);
        let mut told = std::mem::take(&mut *told.lock().unwrap());
        told.sort();
        assert_eq!(told, [("u_ada".to_owned(), 2, true), ("u_bob".to_owned(), 1, false)]);
    }
}
