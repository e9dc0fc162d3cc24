//! Policies: what is refused at start-up, when retries end, and how much of a process's resources a channel may use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use campanile::channel::Policy;
use campanile::channel::Verdict;
use campanile::channel::{ChannelDeclaration, INBOX};
use campanile::{Dispatcher, Notice, NotifiableEvent as _, Worker};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, Running, both_databases};
use tokio::sync::Semaphore;

const A_DAY: Duration = Duration::from_hours(24);

/// A dispatcher whose pigeons end with this verdict, under this policy; and how many started.
fn pigeons(
    app: &App,
    verdict: Verdict,
    tuning: impl Fn(Policy) -> Policy + Send + Sync + 'static,
) -> (Dispatcher, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&begun);
    let pigeons = PigeonSettings::new(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Flight::Ends(verdict.clone())
    });
    let builder = app.builder().with(pigeons).tune(&PIGEON, tuning);
    (builder.build().unwrap(), begun)
}

fn to(users: &[String]) -> Notice {
    PigeonAlone { text: "x".into() }.about("a").to(users)
}

fn ada() -> Notice {
    to(&["u_ada".to_owned()])
}

async fn crowd(app: &App, size: usize) -> Vec<String> {
    let users: Vec<_> = (0..size).map(|n| format!("u_{n}")).collect();
    for user in &users {
        app.address(user, "pigeon", "tower").await;
    }
    users
}

fn later(seconds: u64) -> Verdict {
    Verdict::Retry {
        after: Some(Duration::from_secs(seconds)),
        error: "busy".into(),
    }
}

/// As if the first attempt had been made this long ago.
async fn age(app: &App, age: Duration) {
    let micros = age.as_micros();
    let change = format!("first_attempt_at = {{earlier({micros})}}");
    app.database.change_deliveries(&change).await;
    app.database.advance_deliveries().await;
}

/// The microseconds between the end of the only attempt and the next one.
async fn pause(app: &App) -> i64 {
    app.database
        .number(
            "select {micros(delivery.run_at)} - {micros(log.started_at)} - log.took_micros \
             from {campanile}notification_deliveries as delivery \
             join {campanile}notification_attempts as log on log.delivery_id = delivery.id",
        )
        .await
}

both_databases! {
    async fn retries_that_outlast_the_providers_memory_are_refused_at_start_up(app: App) {
        let tuned = app.builder().tune(&PIGEON, |policy| policy.key_lifetime(A_DAY).horizon(A_DAY));
        let text = tuned.build().unwrap_err().to_string();
        assert!(text.contains("channel `pigeon`: its deliveries are retried for"), "{text}");
        assert!(text.contains("set `.horizon(..)` below that"), "{text}");
    }

    async fn a_channel_that_is_not_linked_or_is_local_cannot_be_tuned(app: App) {
        const TELEPATHY: ChannelDeclaration = ChannelDeclaration::new("telepathy", "campanile_telepathy", &[]);
        let tuned = app.builder().tune(&TELEPATHY, |policy| policy).tune(&INBOX, |policy| policy);
        let error = tuned.build().unwrap_err();
        assert_eq!(error.problems().len(), 2, "{error}");
        for (problem, channel) in error.problems().iter().zip(["`telepathy` is tuned", "`inbox` is tuned"]) {
            assert!(problem.contains(channel), "{problem}");
        }
    }

    async fn a_policy_under_which_nothing_would_be_sent_is_refused_with_all_its_problems(app: App) {
        let tuned = app.builder().tune(&PIGEON, |policy| {
            let none = policy.concurrency(0).batch(0).max_attempts(0).max_lost_answers(0).calls_per_second(0);
            none.backoff(Duration::ZERO, A_DAY).attempt_timeout(Duration::ZERO)
        });
        let error = tuned.build().unwrap_err();
        assert_eq!(error.problems().len(), 7, "{error}");
        assert!(error.problems().iter().all(|problem| problem.starts_with("channel `pigeon`: ")), "{error}");
    }

    async fn a_delivery_that_fails_until_the_horizon_is_dead_and_no_longer_retried(app: App) {
        let (dispatcher, begun) = pigeons(&app, later(60), |policy| policy);
        let _ = dispatcher.dispatch(ada()).await.unwrap();
        // The next pause would end after the horizon.
        age(&app, Duration::from_hours(20) - Duration::from_secs(30)).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries("state = 'dead' and attempt = 2").await, 1);
        // It reached nobody, so the next fire is not a repeat. A delivery that was certainly not sent may have waited behind a
        // pause, for example: it gets one more attempt.
        assert_eq!(dispatcher.dispatch(ada()).await.unwrap().deduped, 0);
        age(&app, Duration::from_hours(21)).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(begun.load(Ordering::SeqCst), 4);
        assert_eq!(app.database.deliveries("state = 'dead' and attempt = 2 and not maybe_sent").await, 2);
    }

    async fn a_delivery_that_may_have_been_sent_before_the_horizon_ends_as_unknown(app: App) {
        let (dispatcher, begun) = pigeons(&app, Verdict::unknown("no answer"), |policy| policy);
        let _ = dispatcher.dispatch(ada()).await.unwrap();
        age(&app, Duration::from_hours(21)).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert_eq!(app.database.deliveries("state = 'unknown' and finished_at is not null").await, 1);
        assert_eq!(dispatcher.dispatch(ada()).await.unwrap().deduped, 1);
    }

    async fn a_channel_that_must_not_send_twice_stops_after_the_first_unknown(app: App) {
        let (dispatcher, begun) = pigeons(&app, Verdict::unknown("no answer"), |policy| policy.max_lost_answers(1));
        let _ = dispatcher.dispatch(ada()).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'unknown' and attempt = 1").await, 1);
        // Nor does it retry the running deliveries of a lost worker.
        let _ = dispatcher.enqueue(to(&["u_bob".to_owned()])).await.unwrap();
        app.database.change_deliveries(
            "state = 'running', attempt = 1, worker = {uuid('00000000-0000-0000-0000-00000000dead')}, \
             lease_until = {earlier(1)} where user_id = 'u_bob'",
        ).await;
        assert_eq!(dispatcher.deliver_due(10).await.unwrap().claimed, 1);
        assert_eq!(app.database.deliveries("state = 'unknown'").await, 2);
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    async fn without_idempotency_keys_two_lost_answers_end_a_delivery(app: App) {
        let (dispatcher, begun) = pigeons(&app, Verdict::unknown("no answer"), |policy| policy);
        let _ = dispatcher.dispatch(ada()).await.unwrap();
        for _ in 0..5 {
            app.database.advance_deliveries().await;
            dispatcher.deliver_due(10).await.unwrap();
        }
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert_eq!(app.database.deliveries("state = 'unknown' and attempt = 2 and lost_answers = 2").await, 1);
        // A worker that is lost during a call loses its answer too.
        let _ = dispatcher.enqueue(to(&["u_bob".to_owned()])).await.unwrap();
        for _ in 0..2 {
            app.database.change_deliveries(
                "state = 'running', attempt = attempt + 1, worker = {uuid('00000000-0000-0000-0000-00000000dead')}, \
                 lease_until = {earlier(1)} where user_id = 'u_bob'",
            ).await;
            dispatcher.deliver_due(10).await.unwrap();
        }
        assert_eq!(begun.load(Ordering::SeqCst), 3, "one call between the two that were lost");
        assert_eq!(app.database.deliveries("state = 'unknown' and user_id = 'u_bob'").await, 1);
        // An operator's retry allows the same number again.
        let ids = app.database.texts("select {text(id)} from {campanile}notification_deliveries where user_id = 'u_bob'").await;
        let id = uuid::Uuid::parse_str(ids[0].as_deref().unwrap()).unwrap();
        dispatcher.operations().retry_delivery(id).await.unwrap();
        dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'pending' and lost_answers = 1 and user_id = 'u_bob'").await, 1);
    }

    async fn with_idempotency_keys_lost_answers_are_retried(app: App) {
        let tuning = |policy: Policy| policy.key_lifetime(A_DAY);
        let (dispatcher, begun) = pigeons(&app, Verdict::unknown("no answer"), tuning);
        let _ = dispatcher.dispatch(ada()).await.unwrap();
        for _ in 0..5 {
            app.database.advance_deliveries().await;
            dispatcher.deliver_due(10).await.unwrap();
        }
        assert_eq!(begun.load(Ordering::SeqCst), 6);
        assert_eq!(app.database.deliveries("state = 'pending' and lost_answers = 6").await, 1);
    }

    async fn a_provider_gets_the_pause_it_asks_for_up_to_the_cap(app: App) {
        let second = 1_000_000;
        for (asked, most) in [(40, 40), (86_400, 60)] {
            let (dispatcher, _) = pigeons(&app, later(asked), |policy| policy.backoff(Duration::from_secs(1), Duration::from_mins(1)));
            app.dispatcher.operations().forget_user("u_ada").await.unwrap();
            app.address("u_ada", "pigeon", "tower").await;
            let _ = dispatcher.dispatch(ada()).await.unwrap();
            let pause = pause(&app).await;
            assert!(((most - 1) * second..(most + 9) * second).contains(&pause), "{pause}");
        }
    }

    async fn dispatches_and_workers_together_never_make_more_calls_than_the_policy_says(app: App) {
        let users = crowd(&app, 30).await;
        let flight = Duration::from_millis(10);
        let slow = PigeonSettings::new(move |_| Flight::EndsAfter(flight, Verdict::accepted()));
        let builder = app.builder().with(slow.clone());
        let dispatcher = builder.tune(&PIGEON, |policy| policy.concurrency(2)).build().unwrap();
        let _ = dispatcher.enqueue(to(&users[..15])).await.unwrap();
        let worker = Running::start(&dispatcher);
        let dispatches = users[15..].chunks(5).map(|users| dispatcher.dispatch(to(users)));
        let reports = futures_util::future::join_all(dispatches).await;
        assert!(reports.into_iter().all(|report| report.unwrap().sent == 5));
        app.eventually(async || slow.arrived().len() == 30).await;
        worker.stop().await;
        assert_eq!(slow.aloft.most(), 2);
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 1").await, 30);
    }

    async fn a_worker_claims_no_more_than_it_can_start_in_one_round(app: App) {
        let users = crowd(&app, 20).await;
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let pigeons = PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
        // A round may start calls for half of the attempt timeout: two seconds, with two calls in each.
        let builder = app.builder().with(pigeons.clone()).attempt_timeout(Duration::from_secs(4));
        let dispatcher = builder.tune(&PIGEON, |policy| policy.calls_per_second(2)).build().unwrap();
        let _ = dispatcher.enqueue(to(&users)).await.unwrap();
        let worker = Running::start_as(Worker::new(dispatcher).tasks(1));
        app.eventually(async || pigeons.aloft.now() > 0).await;
        assert_eq!(app.database.deliveries("state = 'running'").await, 4);
        assert_eq!(app.database.deliveries("state = 'pending' and attempt = 0").await, 16);
        gate.add_permits(20);
        worker.stop().await;
    }

    async fn calls_are_spaced_and_deliveries_that_do_not_fit_into_a_round_are_given_back(app: App) {
        let users = crowd(&app, 6).await;
        // A second between two calls, and less than that to start them.
        let begun: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let note = Arc::clone(&begun);
        let pigeons = PigeonSettings::new(move |_| {
            note.lock().unwrap().push(Instant::now());
            Flight::Ends(Verdict::accepted())
        });
        let builder = app.builder().with(pigeons).attempt_timeout(Duration::from_millis(1_800));
        let dispatcher = builder.tune(&PIGEON, |policy| policy.calls_per_second(1)).build().unwrap();
        let report = dispatcher.dispatch(to(&users)).await.unwrap();
        assert_eq!((report.sent, report.queued), (1, 5));
        assert_eq!(app.database.deliveries("state = 'pending' and attempt = 0 and lease_until is null").await, 5);
        app.eventually(async || dispatcher.deliver_due(10).await.unwrap().sent > 0).await;
        let begun = begun.lock().unwrap().clone();
        assert!(begun[1] - begun[0] > Duration::from_millis(500), "{begun:?}");
    }
}
