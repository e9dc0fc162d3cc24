//! Connections that go half-open under callers: they stay open, but nothing passes any more. Every waiting caller gets an error
//! in time.
//!
//! Only on Postgres: SQLite runs in this process, and there is no connection to lose.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use campanile::database::Pool;
use campanile::operate::AddressTable;
use campanile::operate::Retention;
use campanile::operate::{DeadFilter, DeliveryFilter};
use campanile::{Database, DispatchError, Dispatcher, NotifiableEvent as _};
use campanile_email::{SuppressionFilter, SuppressionKind, Suppressions};
use campanile_inbox::{Inbox, Page};
use campanile_tests::database::run;
use campanile_tests::events::Role;
use campanile_tests::fault_proxy::FaultProxy;
use campanile_tests::{App, Kind};
use sqlx::postgres::PgPoolOptions;

/// So long that only a call without any timeout exceeds it.
const FOR_EVER: Duration = Duration::from_mins(2);

/// Whether the pool pings a connection before it hands it out. If it does, callers wait there; otherwise they wait in the middle
/// of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ping {
    Yes,
    No,
}

async fn far(proxy: &FaultProxy, connections: u32, ping: Ping) -> Database {
    let pool = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .test_before_acquire(ping == Ping::Yes)
        .connect(&proxy.url)
        .await
        .unwrap();
    // They are opened one after the other, in the background.
    while pool.num_idle() < connections as usize {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Database::from(pool).statement_timeout(Duration::from_secs(1))
}

/// The calls of an app, each on its own connection: three dispatches, a page of the inbox, a count, a mark, and the settings,
/// read and written.
async fn calls(
    app: &App,
    dispatcher: &Dispatcher,
) -> Vec<tokio::task::JoinHandle<Result<(), String>>> {
    let near = Inbox::for_user(&app.database.database, "u_ada").unwrap();
    let shown = near.feed(Page::default()).await.unwrap().as_of;
    let database = dispatcher.database();
    let inbox = || Inbox::for_user(database, "u_ada").unwrap();
    let mut calls = Vec::new();
    for n in 0..3 {
        let notice = app.role_changed(Role::Admin).about(n).to(["u_ada"]);
        let dispatcher = dispatcher.clone();
        calls.push(tokio::spawn(async move {
            match dispatcher.enqueue(notice).await {
                Ok(_) => Ok(()),
                Err(error @ DispatchError::CommitUnknown { .. }) => Err(error.to_string()),
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                    Err(error.to_string())
                }
            }
        }));
    }
    let one = inbox();
    calls.push(tokio::spawn(async move {
        one.feed(Page::default())
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }));
    let one = inbox();
    calls.push(tokio::spawn(async move {
        one.counts_up_to(9)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }));
    let one = inbox();
    calls.push(tokio::spawn(async move {
        let marked = one.mark_all_read(&shown, &[]).await;
        marked.map(drop).map_err(|error| error.to_string())
    }));
    for write in [false, true] {
        let dispatcher = dispatcher.clone();
        calls.push(tokio::spawn(async move {
            let preferences = dispatcher.preferences_of("u_ada").unwrap();
            let asked = if write {
                let off = campanile::preferences::Choice::Off;
                preferences.set("team", "email", off).await
            } else {
                preferences.matrix().await.map(drop)
            };
            asked.map_err(|error| error.to_string())
        }));
    }
    calls
}

#[test]
fn callers_on_half_open_connections_get_an_error_and_the_next_ones_succeed() {
    for ping in [Ping::Yes, Ping::No] {
        answered(ping);
    }
}

fn answered(ping: Ping) {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let dispatcher = app
            .builder()
            .database(far(&proxy, 8, ping).await)
            .build()
            .unwrap();
        // Every connection is open and in the middle of a statement, because nothing reaches the server any more.
        proxy.slow(Duration::from_mins(1), Duration::ZERO);
        let calls = calls(&app, &dispatcher).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.strand();
        proxy.slow(Duration::ZERO, Duration::ZERO);
        let answers = tokio::time::timeout(FOR_EVER, futures_util::future::join_all(calls)).await;
        for answer in answers.expect("everybody is answered") {
            assert!(answer.unwrap().is_err(), "nothing passed");
        }
        let next = self::calls(&app, &dispatcher).await;
        let answers = tokio::time::timeout(FOR_EVER, futures_util::future::join_all(next)).await;
        for answer in answers.expect("everybody is answered") {
            answer.unwrap().unwrap();
        }
        assert_eq!(app.database.count("notifications").await, 3);
    });
}

type Call = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A call that starts when it is polled.
macro_rules! call {
    ($($value:ident),+ => $body:expr) => {{
        $(let $value = $value.clone();)+
        (
            stringify!($body),
            Box::pin(async move { $body.await.map(drop).map_err(|error| error.to_string()) }) as Call,
        )
    }};
}

/// One of the commands of operations.
#[derive(clap::Parser)]
struct Program {
    #[command(subcommand)]
    command: campanile_cli::Command,
}

/// Runs a command; finding a problem counts as failing.
async fn command(dispatcher: Dispatcher, line: String) -> Result<(), String> {
    use clap::Parser as _;
    let words = line.split(' ');
    let program = Program::try_parse_from(std::iter::once("campanile").chain(words)).unwrap();
    let database = dispatcher.database().clone();
    let output = campanile_cli::Output::default();
    let mut out = Vec::new();
    let command = program.command;
    let ended = command.write(&database, Ok(dispatcher), output, &mut out);
    match ended.await.map_err(|error| error.to_string())? {
        campanile_cli::Ended::Well => Ok(()),
        campanile_cli::Ended::WithProblems => Err(String::from_utf8_lossy(&out).into_owned()),
    }
}

/// Further calls of operators and apps.
async fn operators_calls(app: &App, dispatcher: &Dispatcher) -> Vec<(&'static str, Call)> {
    let filter = DeliveryFilter::default();
    let rows = app
        .dispatcher
        .operations()
        .deliveries(filter)
        .await
        .unwrap();
    let (id, notification) = (rows[0].id, rows[0].notification_id);
    let book = AddressTable::new(dispatcher.database().clone());
    let list = Suppressions::new(dispatcher.database().clone());
    let d = dispatcher.clone();
    let mut calls = vec![
        call!(d => d.operations().delivery_counts()),
        call!(d => d.operations().deliveries(DeliveryFilter::default())),
        call!(d => d.operations().history(notification)),
        call!(d => d.operations().retry_delivery(id)),
        call!(d => d.operations().count_dead(DeadFilter::default())),
        call!(d => d.operations().redrive_dead(DeadFilter::default())),
        call!(d => d.operations().workers()),
        call!(d => d.operations().channels()),
        call!(d => d.operations().pause_channel("pigeon", "rain")),
        call!(d => d.operations().resume_channel("pigeon")),
        call!(d => d.operations().prune(Retention::default())),
        call!(book => book.set("u_eve", "email", "eve@example.com")),
        call!(book => book.add("u_eve", "email", "eve2@example.com")),
        call!(book => book.remove("u_eve", "email", "eve2@example.com")),
        call!(list => list.add("x@example.com", "asked us")),
        call!(list => list.list(SuppressionFilter::default())),
        call!(list => list.get("x@example.com")),
        call!(list => list.remove("x@example.com")),
        call!(list => list.add_for(Duration::from_hours(1), SuppressionKind::Bounce, "y@example.com", "full")),
        call!(d => d.operations().forget_user("u_ada")),
    ];
    for line in [
        "deliveries list".to_owned(),
        format!("deliveries show {id}"),
        "suppressions list".to_owned(),
        "suppressions list --suspects".to_owned(),
        "suppressions add z@example.com --reason asked".to_owned(),
        "suppressions remove z@example.com".to_owned(),
        "migrate".to_owned(),
        "doctor".to_owned(),
    ] {
        let name = Box::leak(line.clone().into_boxed_str());
        calls.push((name, Box::pin(command(dispatcher.clone(), line))));
    }
    calls
}

/// Runs each in its own task, so that they wait concurrently.
fn begun(
    calls: Vec<(&'static str, Call)>,
) -> Vec<(&'static str, tokio::task::JoinHandle<Result<(), String>>)> {
    let calls = calls.into_iter();
    calls
        .map(|(name, call)| (name, tokio::spawn(call)))
        .collect()
}

#[test]
fn operators_on_half_open_connections_get_an_error() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let _ = app
            .dispatcher
            .enqueue(app.role_changed(Role::Admin).to(["u_ada"]))
            .await
            .unwrap();
        let proxy = FaultProxy::before(&app.database.url).await;
        let pool = PgPoolOptions::new()
            .min_connections(40)
            .max_connections(40)
            .test_before_acquire(false)
            .connect(&proxy.url)
            .await
            .unwrap();
        while pool.num_idle() < 40 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let far = Database::from(pool).statement_timeout(Duration::from_millis(500));
        let dispatcher = app.builder().database(far).build().unwrap();
        proxy.slow(Duration::from_mins(1), Duration::ZERO);
        let calls = begun(operators_calls(&app, &dispatcher).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.strand();
        proxy.slow(Duration::ZERO, Duration::ZERO);
        let mut silent = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        for (name, call) in calls {
            match tokio::time::timeout_at(deadline, call).await {
                Ok(answer) => match (name, answer.unwrap()) {
                    // It is repeated, on a connection that works.
                    ("d.forget_user(\"u_ada\")", Ok(())) => {}
                    (name, answer) => assert!(answer.is_err(), "nothing passed: {name}"),
                },
                Err(_) => silent.push(name),
            }
        }
        assert!(silent.is_empty(), "they wait: {silent:#?}");
    });
}

/// The files that may take a connection without `each_connection!`, because each of them bounds its statements itself, or closes
/// the pool; and those that define and document the macros.
const BOUNDED_ONE_BY_ONE: [&str; 7] = [
    "core/src/database/connection.rs",
    "core/src/database/mod.rs",
    "core/src/dispatch/mod.rs",
    "core/src/dispatch/write.rs",
    // In one of the two folders.
    "core/src/operate/forget.rs",
    "core/src/store/forget.rs",
    "inspector/src/main.rs",
];

#[test]
fn no_source_takes_a_connection_without_a_bound() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = ["core", "channels", "cli", "web", "inspector"]
        .map(|name| root.join(name))
        .into();
    let (mut seen, mut excepted) = (0, 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_string_lossy();
            if !name.contains("src/") {
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let takes_one = text.contains("each_database!(");
            let may_take_one = BOUNDED_ONE_BY_ONE.contains(&&*name);
            assert!(!takes_one || may_take_one, "{name}");
            excepted += usize::from(takes_one);
        }
    }
    assert!(seen > 100);
    // The path of a moved file would allow nothing.
    assert_eq!(excepted, BOUNDED_ONE_BY_ONE.len() - 1);
}

/// The pool of `Database::connect` skips a connection that went half-open while it was idle.
#[test]
fn idle_connections_that_went_half_open_are_replaced() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let database = Database::connect(&proxy.url).await.unwrap();
        let dispatcher = app.builder().database(database).build().unwrap();
        let notice = |n: u32| app.role_changed(Role::Admin).about(n).to(["u_ada"]);
        let _ = dispatcher.enqueue(notice(1)).await.unwrap();
        let Pool::Postgres(pool) = dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        // A connection that is still being returned would not be used.
        app.eventually(async || pool.num_idle() == pool.size() as usize)
            .await;
        proxy.strand();
        let next = tokio::time::timeout(FOR_EVER, dispatcher.enqueue(notice(2))).await;
        assert_eq!(next.unwrap().unwrap().admitted, 1);
    });
}

/// A dispatch to many recipients has no total timeout: only each statement has one.
#[test]
fn a_dispatch_of_many_chunks_may_take_longer_than_one_statement() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let database = far(&proxy, 1, Ping::Yes).await;
        proxy.slow(Duration::from_millis(100), Duration::ZERO);
        let dispatcher = app.builder().database(database).chunk(1).build().unwrap();
        let people: Vec<_> = (0..8).map(|n| format!("u_{n}")).collect();
        let report = dispatcher
            .enqueue(app.role_changed(Role::Admin).to(people))
            .await;
        assert_eq!(report.unwrap().admitted, 8);
    });
}
