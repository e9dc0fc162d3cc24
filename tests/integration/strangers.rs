//! Unknown events and channels: deliveries that a worker does not know are parked, use no attempt, and resume when a worker knows
//! them. And the list of running workers.

use std::sync::Arc;

use campanile::channel::Verdict;
use campanile::event::EventDeclaration;
use campanile::{Dispatcher, Notice, NotifiableEvent as _, Registry};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::{PastDue, PigeonAlone, PigeonExpected};
use campanile_tests::{App, Running, both_databases};
use tokio::sync::Semaphore;

fn alone() -> Notice {
    PigeonAlone { text: "x".into() }.about("a").to(["u_ada"])
}

/// A dispatcher of another version, which knows these events but not these channels.
fn version(app: &App, events: &[&'static EventDeclaration], unlinked: &[&str]) -> Dispatcher {
    let linked = Registry::collect().unwrap();
    let linked = linked.channels().copied();
    let channels = linked.filter(|channel| !unlinked.contains(&channel.declaration.name()));
    let registry = Registry::new(events.iter().copied(), channels).unwrap();
    app.builder().registry(registry).build().unwrap()
}

/// A dispatcher that does not link pigeons.
fn without_pigeons(app: &App) -> Dispatcher {
    version(app, &[PastDue::DECLARATION], &["pigeon"])
}

/// As if everything had been due for longer than a fleet takes to restart.
async fn overdue(app: &App) {
    app.database
        .change_deliveries("run_at = {earlier(61000000)}")
        .await;
}

/// When this dispatcher's worker was last seen.
async fn seen(dispatcher: &Dispatcher, channels: usize) -> Option<i64> {
    let workers = dispatcher.operations().workers().await.unwrap();
    let found = workers
        .iter()
        .find(|worker| worker.channels.len() == channels);
    found.map(|worker| worker.seen_at.as_microsecond())
}

/// Parks this many deliveries, each with this much content of its own.
async fn park(app: &App, deliveries: usize, bytes: usize) {
    let notice = |n: usize| {
        let text = "x".repeat(bytes);
        PigeonAlone { text }.about(n.to_string()).to(["u_ada"])
    };
    let notices = (0..deliveries).map(notice);
    app.dispatcher.enqueue_all(notices).await.unwrap();
    app.database
        .change_deliveries("state = 'blocked', blocked_as = 'channel'")
        .await;
}

/// How many of these a starting worker holds when its first pigeon is in flight. In the end it has delivered all of them.
async fn first_step(app: &App, deliveries: i64, batch: usize) -> i64 {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let pigeons =
        PigeonSettings::new(move |_| Flight::WaitsAt(Arc::clone(&held), Verdict::accepted()));
    let aloft = Arc::clone(&pigeons.aloft);
    let builder = app.builder().with(pigeons);
    let dispatcher = builder.tune(&PIGEON, move |policy| policy.batch(batch));
    let worker = Running::start(&dispatcher.build().unwrap());
    app.eventually(async || aloft.now() > 0).await;
    let step = app.database.deliveries("state = 'running'").await;
    gate.add_permits(1_000);
    app.eventually(async || app.database.deliveries("state = 'delivered'").await == deliveries)
        .await;
    worker.stop().await;
    step
}

const PARKED: &str =
    "state = 'blocked' and blocked_as = 'channel' and attempt = 0 and worker is null";

both_databases! {
    async fn a_delivery_of_an_unknown_event_is_parked_without_an_attempt_and_resumes_where_it_is_known(app: App) {
        let old = version(&app, &[PigeonExpected::DECLARATION], &[]);
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        let attempted = old.deliver_due(10).await.unwrap();
        assert_eq!((attempted.claimed, attempted.sent), (1, 0));
        let parked = "state = 'blocked' and blocked_as = 'event' and attempt = 0 and first_attempt_at is null \
             and worker is null and last_error is not null";
        assert_eq!(app.database.deliveries(parked).await, 1);
        assert_eq!(app.database.count("notification_attempts").await, 0);
        // It waits, and keeps its window.
        assert_eq!(old.deliver_due(10).await.unwrap().claimed, 0);
        assert_eq!(app.dispatcher.dispatch(alone()).await.unwrap().deduped, 1);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 1 and blocked_as is null").await, 1);
    }

    async fn a_renamed_event_resumes_under_its_alias(app: App) {
        let renamed: &'static EventDeclaration = Box::leak(Box::new(EventDeclaration {
            event_type: "loft.pigeon.solo",
            aliases: &["loft.pigeon.alone"],
            ..*PigeonAlone::DECLARATION
        }));
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        version(&app, &[], &[]).deliver_due(10).await.unwrap();
        assert_eq!(app.database.deliveries("state = 'blocked'").await, 1);
        assert_eq!(version(&app, &[renamed], &[]).deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.pigeons.arrived().len(), 1);
    }

    async fn deliveries_of_a_channel_that_no_worker_links_are_parked_and_resume_when_one_does(app: App) {
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        overdue(&app).await;
        let stranger = Running::start(&without_pigeons(&app));
        app.eventually(async || app.database.deliveries(PARKED).await == 1).await;
        let worker = Running::start(&app.dispatcher);
        app.eventually(async || app.pigeons.arrived().len() == 1).await;
        worker.stop().await;
        stranger.stop().await;
        assert_eq!(app.database.deliveries("state = 'delivered' and attempt = 1 and blocked_as is null").await, 1);
    }

    async fn a_delivery_that_has_just_become_due_is_not_parked(app: App) {
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        let stranger = without_pigeons(&app);
        let running = Running::start(&stranger);
        app.eventually(async || seen(&stranger, 2).await.is_some()).await;
        // When it is seen again, its first maintenance is over.
        let first = seen(&stranger, 2).await;
        app.eventually(async || seen(&stranger, 2).await > first).await;
        running.stop().await;
        assert_eq!(app.database.deliveries("state = 'pending' and attempt = 0").await, 1);
    }

    async fn deliveries_of_a_channel_that_a_live_worker_links_are_not_parked_until_it_is_gone(app: App) {
        // It is alive, and its channel is paused.
        app.dispatcher.operations().pause_channel("pigeon", "the tower is closed").await.unwrap();
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        overdue(&app).await;
        let worker = Running::start(&app.dispatcher);
        app.eventually(async || seen(&app.dispatcher, 3).await.is_some()).await;
        let stranger = Running::start(&without_pigeons(&app));
        app.eventually(async || seen(&app.dispatcher, 2).await.is_some()).await;
        let first = seen(&app.dispatcher, 2).await;
        app.eventually(async || seen(&app.dispatcher, 2).await > first).await;
        assert_eq!(app.database.deliveries("state = 'pending'").await, 1);
        worker.stop().await;
        // Deliveries of a paused channel wait, and are not parked.
        let first = seen(&app.dispatcher, 2).await;
        app.eventually(async || seen(&app.dispatcher, 2).await > first).await;
        assert_eq!(app.database.deliveries("state = 'pending'").await, 1);
        app.dispatcher.operations().resume_channel("pigeon").await.unwrap();
        app.eventually(async || app.database.deliveries(PARKED).await == 1).await;
        stranger.stop().await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
    }

    async fn a_starting_worker_claims_parked_deliveries_in_steps_of_its_batch(app: App) {
        park(&app, 25, 10).await;
        assert_eq!(first_step(&app, 25, 10).await, 10);
    }

    async fn a_step_loads_no_more_than_a_few_megabytes_of_content(app: App) {
        // Of 60 kB each, 70 are just above four mebibytes.
        park(&app, 90, 60_000).await;
        assert_eq!(first_step(&app, 90, 100).await, 70);
    }

    async fn a_running_worker_is_listed_with_its_channels_until_it_has_stopped(app: App) {
        assert_eq!(app.dispatcher.operations().workers().await.unwrap(), []);
        let first = Running::start(&app.dispatcher);
        let listed = async |count| app.dispatcher.operations().workers().await.unwrap().len() == count;
        app.eventually(async || listed(1).await).await;
        let second = Running::start(&without_pigeons(&app));
        app.eventually(async || listed(2).await).await;
        let workers = app.dispatcher.operations().workers().await.unwrap();
        assert_eq!(workers[0].channels, ["email", "pigeon", "push"]);
        assert_eq!(workers[1].channels, ["email", "push"]);
        assert!(workers[0].started_at <= workers[1].started_at && workers[0].started_at <= workers[0].seen_at);
        first.stop().await;
        assert_eq!(app.dispatcher.operations().workers().await.unwrap()[0].id, workers[1].id);
        second.stop().await;
        assert_eq!(app.dispatcher.operations().workers().await.unwrap(), []);
    }

    async fn a_worker_not_seen_for_half_a_minute_is_not_listed(app: App) {
        app.database.execute(
            "insert into {campanile}notification_workers values \
             ({uuid('00000000-0000-0000-0000-00000000dead')}, {earlier(60000000)}, {earlier(31000000)}, {json('[\"pigeon\"]')})",
        ).await;
        assert_eq!(app.dispatcher.operations().workers().await.unwrap(), []);
        // Nor does it keep deliveries from being parked.
        let _ = app.dispatcher.enqueue(alone()).await.unwrap();
        overdue(&app).await;
        let stranger = Running::start(&without_pigeons(&app));
        app.eventually(async || app.database.deliveries(PARKED).await == 1).await;
        stranger.stop().await;
    }
}
