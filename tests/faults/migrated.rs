//! F27: tables with many rows are migrated while others read and write them. On SQLite, which has one writer at a time,
//! everybody who writes waits until the tables are migrated, so that there is nothing to tell.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use campanile::Database;
use campanile::database::each_database;
use campanile_inbox::{Inbox, Page};
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{Kind, TestDatabase};
use tokio::task::JoinHandle;

use crate::rounds::rows;
use crate::stage::{Stage, bell};

/// The tables were there, and most of their columns and indexes were not.
const BEGINS_AT: i64 = 4;

/// What others do to the tables meanwhile, as an older version does it: what is written and what is read.
const WRITES: [(&str, &str); 3] = [
    (
        "notification_dedup",
        "insert into {campanile}notification_dedup (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, \
            notification_id) values ('meanwhile', {text({id})}, 'u_1', {now}, {now}, {id})",
    ),
    (
        "notifications",
        "insert into {campanile}notifications (id, user_id, event_type, category, title, body, payload, created_at) \
         values ({id}, 'meanwhile', 'a.b.c', 'a', 't', 'b', {json('[]')}, {now})",
    ),
    (
        "notification_deliveries",
        "insert into {campanile}notification_deliveries (id, notification_id, dispatch_id, user_id, channel, has_local, state, \
            attempt, run_at, created_at, finished_at) \
         values ({id}, {id}, {id}, 'meanwhile', 'email', false, 'delivered', 1, {now}, {now}, {now})",
    ),
];

const READS: [&str; 3] = [
    "update {campanile}notifications set read_at = {now} where user_id = 'user_7' and read_at is null",
    "select id, title from {campanile}notifications where user_id = 'user_8' order by id desc limit 20",
    "select id, attempt from {campanile}notification_deliveries where channel = 'email' and state = 'pending' \
     and run_at <= (select {now}) order by run_at limit 10 {skip_locked}",
];

/// As many rows in each of the large tables as [`rows`] says.
async fn fill(database: &TestDatabase, rows: u64) {
    for statement in [
        "insert into {campanile}notification_dedup (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, \
            notification_id) select 'long.ago', n, 'user_' || (n % 1000), {now}, {now}, {id} from ",
        "insert into {campanile}notifications (id, user_id, event_type, category, title, body, payload, read_at, created_at) \
         select {id}, 'user_' || (n % 1000), 'a.b.c', 'a', n, 'b', {json('[]')}, case when n % 3 = 0 then {now} end, {now} from ",
        "insert into {campanile}notification_deliveries (id, notification_id, dispatch_id, user_id, channel, has_local, state, \
            attempt, run_at, created_at, finished_at) \
         select {id}, {id}, {id}, 'user_' || (n % 1000), 'email', false, \
            case when n % 100 = 0 then 'dead' else 'delivered' end, 1, {now}, {now}, {now} from ",
        "insert into {campanile}notification_attempts (delivery_id, attempt, started_at, took_micros, outcome, worker) \
         select id, 1, created_at, 1, 'accepted', id from {campanile}notification_deliveries",
    ] {
        let mut statement = statement.replace("{id}", "gen_random_uuid()");
        if statement.ends_with("from ") {
            let _ = write!(statement, "generate_series(1, {rows}) as series(n)");
        }
        database.execute(&statement).await;
    }
    database.execute("analyze").await;
}

/// Somebody who runs one statement again and again over a connection of his own.
struct Caller {
    times: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Caller {
    fn start(database: Database, statement: String, ended: &Arc<AtomicBool>) -> Self {
        let times = Arc::new(AtomicI64::new(0));
        let (counted, ended) = (Arc::clone(&times), Arc::clone(ended));
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                each_database!(&database, |pool| {
                    let done = sqlx::query(database.sql(&statement)).execute(pool).await;
                    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
                });
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { times, task }
    }

    /// Waits until it has done what it does once more.
    async fn goes_on(&self) {
        let before = self.times.load(Ordering::SeqCst);
        while self.times.load(Ordering::SeqCst) == before {
            assert!(!self.task.is_finished(), "it goes on");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// F27, and two migrators at once.
#[test]
fn tables_with_many_rows_are_migrated_while_others_read_and_write() {
    run(Kind::Postgres, async |database| {
        let rows = rows();
        database.go_back_to(BEGINS_AT).await;
        fill(&database, rows).await;
        let ended = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for statement in WRITES.iter().map(|(_, statement)| statement).chain(&READS) {
            let own = database.with_connections(1).await;
            callers.push(Caller::start(
                own,
                statement.replace("{id}", "gen_random_uuid()"),
                &ended,
            ));
        }
        for caller in &callers {
            caller.goes_on().await;
        }
        let migrators = [(); 2].map(|()| {
            let url = database.url.clone();
            tokio::spawn(async move { Database::connect(&url).await.unwrap().migrate().await })
        });
        for migrator in migrators {
            migrator.await.unwrap().unwrap();
        }
        for caller in &callers {
            caller.goes_on().await;
        }
        ended.store(true, Ordering::SeqCst);
        let mut written = Vec::new();
        for caller in callers {
            caller.task.await.unwrap();
            written.push(caller.times.load(Ordering::SeqCst));
        }
        let steps = i64::try_from(campanile_migrations::known().count()).unwrap();
        assert_eq!(database.count("_campanile_migrations").await, steps);
        for ((table, _), written) in WRITES.iter().zip(written) {
            assert_eq!(
                database.count(table).await,
                i64::try_from(rows).unwrap() + written,
                "{table}"
            );
        }
        // And they serve.
        let stage = Stage::over(database).await;
        stage.people(2).await;
        let report = stage
            .dispatcher
            .dispatch(bell("after it", 2))
            .await
            .unwrap();
        assert_eq!((report.sent, report.failed), (6, 0));
        let inbox = Inbox::for_user(&stage.database.database, "user_8").unwrap();
        assert_eq!(inbox.feed(Page::default()).await.unwrap().items.len(), 20);
    });
}
