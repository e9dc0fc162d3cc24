//! Wake-ups: a worker is woken for queued deliveries before its next poll, always in its own process, and in others on Postgres
//! if the host enables it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use campanile::{Dispatcher, NotifiableEvent as _, WakeUp, Worker};
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::events::PigeonAlone;
use campanile_tests::proxy::CountingProxy;
use campanile_tests::{App, Kind, Running, both_databases, cluster};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// A worker that polls once, and then after an hour.
fn start(dispatcher: &Dispatcher) -> Running {
    let worker = Worker::new(dispatcher.clone()).poll_interval(Duration::from_hours(1));
    Running::start_as(worker)
}

/// Queues deliveries one after the other, each when the one before has arrived, so that the worker is idle in between.
async fn each_is_heard(app: &App, dispatcher: &Dispatcher, story: &str) {
    let before = app.pigeons.arrived().len();
    for n in 1..=5 {
        let notice = PigeonAlone { text: "x".into() }.about(format!("{story} {n}"));
        let _ = dispatcher.enqueue(notice.to(["u_ada"])).await.unwrap();
        app.eventually(async || app.pigeons.arrived().len() == before + n)
            .await;
        app.eventually(async || app.database.deliveries("state <> 'delivered'").await == 0)
            .await;
    }
}

/// Two dispatchers that could be in two processes: they share the database and nothing else.
async fn apart(app: &App) -> [Dispatcher; 2] {
    let mut apart = Vec::new();
    for _ in 0..2 {
        let database = app.database.with_connections(5).await;
        let builder = app.builder().database(database).wake_up(WakeUp::Notify);
        apart.push(builder.build().unwrap());
    }
    apart.try_into().unwrap()
}

const LISTENING: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and query ilike 'listen%'";

const TERMINATE: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
    where datname = current_database() and query ilike 'listen%'";

both_databases! {
    async fn a_worker_of_the_same_process_is_woken_at_once(app: App) {
        let worker = start(&app.dispatcher);
        each_is_heard(&app, &app.dispatcher, "at once").await;
        // Also for deliveries that a dispatch leaves to it.
        let leaving = PigeonAlone { text: "x".into() }.to((0..150).map(|n| format!("u_{n}")));
        for n in 0..150 {
            app.address(&format!("u_{n}"), "pigeon", "tower").await;
        }
        assert_eq!(app.dispatcher.dispatch(leaving).await.unwrap().queued, 50);
        app.eventually(async || app.pigeons.arrived().len() == 155).await;
        worker.stop().await;
    }
}

#[test]
fn a_worker_of_another_process_is_woken_on_postgres_if_both_sides_enable_it() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let [host, elsewhere] = apart(&app).await;
        let worker = start(&elsewhere);
        each_is_heard(&app, &host, "elsewhere").await;
        worker.stop().await;
    });
}

/// A worker of another process with sixteen tasks on each of its three channels, behind a proxy that counts.
async fn counted(app: &App) -> (Running, CountingProxy) {
    let proxy = CountingProxy::before(&app.database.url).await;
    let pool = PgPoolOptions::new()
        // Each statement is prepared once, before anything is counted.
        .max_connections(1)
        .test_before_acquire(false)
        .connect(&proxy.url)
        .await
        .unwrap();
    let builder = app.builder().database(pool).wake_up(WakeUp::Notify);
    let worker = Worker::new(builder.build().unwrap()).prune(None);
    let worker = Running::start_as(
        worker
            .poll_interval(Duration::from_hours(1))
            .tasks(TASKS / 3),
    );
    app.eventually(async || app.database.number(LISTENING).await == 1)
        .await;
    // Each task polls once, with a claim and a query of the pauses; then it waits to be woken.
    let looked = Cell::new(0);
    app.eventually(async || {
        looked.set(looked.get() + proxy.take());
        looked.get() >= TASKS * 2
    })
    .await;
    let is_calm = async || {
        let _ = proxy.take();
        tokio::time::sleep(Duration::from_secs(1)).await;
        proxy.take() <= MAINTENANCE
    };
    app.eventually(is_calm).await;
    (worker, proxy)
}

/// The tasks of that worker.
const TASKS: usize = 3 * 16;

/// The maximum number of queries of one maintenance and one check of the chores.
const MAINTENANCE: usize = 30;

/// The maximum number of queries of the worker's maintenance in this time.
fn maintenance_in(time: Duration) -> usize {
    // It is repeated after 2.5 to 5 seconds.
    MAINTENANCE * (1 + usize::try_from(time.as_millis() / 2_500).unwrap())
}

/// The queries of one task of each channel: a claim, and one of the pauses.
const ONE_OF_EACH: usize = 3 * 2;

const RING: &str = "select count(pg_notify('campanile_deliveries', ''))";

#[test]
fn deliveries_queued_elsewhere_wake_one_task_of_each_channel() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let (worker, proxy) = counted(&app).await;
        let _ = proxy.take();
        let begun = Instant::now();
        app.database.number(RING).await;
        // One task of each channel claims and queries the pauses; all of them would make 96 queries.
        let asked = Cell::new(0);
        app.eventually(async || {
            asked.set(asked.get() + proxy.take());
            asked.get() >= ONE_OF_EACH
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let asked = asked.get() + proxy.take();
        let max_queries = ONE_OF_EACH + maintenance_in(begun.elapsed());
        assert!(asked <= max_queries, "{asked}, at most {max_queries}");
        worker.stop().await;
    });
}

#[test]
fn many_notifications_wake_a_worker_at_most_twice_a_second() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let (worker, proxy) = counted(&app).await;
        let _ = proxy.take();
        let begun = Instant::now();
        for _ in 0..40 {
            app.database.number(RING).await;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let asked = Cell::new(0);
        app.eventually(async || {
            asked.set(asked.get() + proxy.take());
            asked.get() >= ONE_OF_EACH
        })
        .await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        let asked = asked.get() + proxy.take();
        let max_queries = seconds * 2 * ONE_OF_EACH + maintenance_in(begun.elapsed());
        assert!(
            asked <= max_queries,
            "{asked} in {seconds} s, at most {max_queries}"
        );
        worker.stop().await;
    });
}

#[test]
fn a_worker_whose_listening_connection_was_lost_listens_again() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let [host, elsewhere] = apart(&app).await;
        let worker = start(&elsewhere);
        each_is_heard(&app, &host, "before").await;
        for round in ["once", "twice"] {
            app.eventually(async || app.database.number(LISTENING).await == 1)
                .await;
            assert_eq!(app.database.number(TERMINATE).await, 1);
            each_is_heard(&app, &host, round).await;
        }
        worker.stop().await;
    });
}

#[test]
fn a_worker_that_could_not_listen_again_at_once_does_so_when_it_can() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let [host, elsewhere] = apart(&app).await;
        let worker = start(&elsewhere);
        each_is_heard(&app, &host, "before").await;
        app.eventually(async || app.database.number(LISTENING).await == 1)
            .await;
        // Existing connections continue; new ones are refused for a while.
        let name = "select {text(current_database())}";
        let name = app.database.texts(name).await.remove(0).unwrap();
        let mut admin = PgConnection::connect(cluster::url()).await.unwrap();
        let mut accept = async |accept: bool| {
            let alter = format!("alter database {name} allow_connections {accept}");
            admin.execute(AssertSqlSafe(alter)).await.unwrap();
        };
        accept(false).await;
        app.database.number(TERMINATE).await;
        app.eventually(async || app.database.number(LISTENING).await == 0)
            .await;
        accept(true).await;
        app.eventually(async || app.database.number(LISTENING).await == 1)
            .await;
        each_is_heard(&app, &host, "after").await;
        worker.stop().await;
    });
}

#[test]
fn a_polling_dispatcher_sends_no_notifications_and_a_notifying_one_sends_them_without_content() {
    run(Kind::Postgres, async |database| {
        let app = App::over(database).await;
        let mut listener = PgListener::connect(&app.database.url).await.unwrap();
        let topics = ["campanile_deliveries", "marker"];
        listener.listen_all(topics).await.unwrap();
        // One connection, which is served in order: its notifications would arrive before the marker.
        let polling = app.database.with_connections(1).await;
        let builder = app.builder().database(polling.clone());
        let dispatcher = builder.wake_up(WakeUp::Polling).build().unwrap();
        let queue = async |dispatcher: &Dispatcher, subject: String| {
            let notice = PigeonAlone { text: "x".into() }
                .about(subject)
                .to(["u_ada"]);
            assert_eq!(dispatcher.enqueue(notice).await.unwrap().queued, 1);
        };
        for n in 0..5 {
            queue(&dispatcher, format!("polling {n}")).await;
        }
        let campanile::database::Pool::Postgres(pool) = polling.pool() else {
            panic!("it is Postgres");
        };
        let marker = sqlx::query("select pg_notify('marker', '')");
        marker.execute(pool).await.unwrap();
        assert_eq!(listener.recv().await.unwrap().channel(), "marker");

        let notifying = app.builder().wake_up(WakeUp::Notify).build().unwrap();
        queue(&notifying, "notifying".to_owned()).await;
        let heard = listener.recv().await.unwrap();
        assert_eq!(
            (heard.channel(), heard.payload()),
            ("campanile_deliveries", "")
        );
    });
}
