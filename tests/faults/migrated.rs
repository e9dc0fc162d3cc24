//! F27: tables with many rows are migrated while others read and write them. On SQLite, which has one writer at a time, all
//! writers wait until the tables are migrated, so there is nothing to test.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use campanile::Database;
use campanile::database::each_database;
use campanile_inbox::{Inbox, Page};
use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{Kind, TestDatabase};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinHandle;

use crate::rounds::rows;
use crate::stage::{Stage, bell};

/// The tables exist, but most of their columns and indexes do not.
const BEGINS_AT: i64 = 4;

/// A concurrent use of the tables, like an older version's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Only reads.
    Reader,
    /// Inserts and updates rows.
    Writer,
    /// Claims deliveries.
    Worker,
}

/// Who uses which table, and how.
const CALLS: [(Who, &str, &str); 7] = [
    (
        Who::Writer,
        "notification_dedup",
        "insert into {campanile}notification_dedup (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, \
            notification_id) values ('meanwhile', {text({id})}, 'u_1', {now}, {now}, {id})",
    ),
    (
        Who::Writer,
        "notifications",
        "insert into {campanile}notifications (id, user_id, event_type, category, title, body, payload, created_at) \
         values ({id}, 'meanwhile', 'a.b.c', 'a', 't', 'b', {json('[]')}, {now})",
    ),
    (
        Who::Writer,
        "notification_deliveries",
        "insert into {campanile}notification_deliveries (id, notification_id, dispatch_id, user_id, channel, has_local, state, \
            attempt, run_at, created_at, finished_at) \
         values ({id}, {id}, {id}, 'meanwhile', 'email', false, 'delivered', 1, {now}, {now}, {now})",
    ),
    (
        Who::Writer,
        "notifications",
        "update {campanile}notifications set read_at = {now} where user_id = 'user_7' and read_at is null",
    ),
    (
        Who::Reader,
        "notifications",
        "select id, title from {campanile}notifications where user_id = 'user_8' order by id desc limit 20",
    ),
    (
        Who::Reader,
        "notification_deliveries",
        "select id, state from {campanile}notification_deliveries where user_id = 'user_8' order by id desc limit 20",
    ),
    (
        Who::Worker,
        "notification_deliveries",
        "update {campanile}notification_deliveries set attempt = attempt + 1 where id in \
         (select id from {campanile}notification_deliveries where channel = 'email' and state = 'pending' \
         and run_at <= (select {now}) order by run_at limit 10 {skip_locked})",
    ),
];

/// Which users of the changed table a migration blocks until it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// It builds an index.
    WhoWrites,
    /// It adds columns or drops an index.
    Everybody,
}

/// The migrations that block callers, and the tables. Any other migration blocks nobody.
const LOCKS: [(i64, &str, Waits); 9] = [
    (5, "notification_deliveries", Waits::WhoWrites),
    (6, "notification_deliveries", Waits::Everybody),
    (7, "notifications", Waits::WhoWrites),
    (8, "notifications", Waits::Everybody),
    (9, "notifications", Waits::Everybody),
    (11, "notification_deliveries", Waits::Everybody),
    (12, "notification_deliveries", Waits::Everybody),
    (14, "notification_dedup", Waits::Everybody),
    (16, "notification_deliveries", Waits::Everybody),
];

fn may_wait(version: i64, who: Who, table: &str) -> bool {
    LOCKS.iter().any(|(of, locked, waits)| {
        (*of, *locked) == (version, table) && (*waits == Waits::Everybody || who != Who::Reader)
    })
}

/// Fills each of the large tables with [`rows`] rows.
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

/// A caller that repeats one statement over its own connection.
struct Caller {
    who: Who,
    table: &'static str,
    statement: String,
    times: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Caller {
    fn start(
        database: Database,
        (who, table, statement): (Who, &'static str, &str),
        ended: &Arc<AtomicBool>,
    ) -> Self {
        let statement = statement.replace("{id}", "gen_random_uuid()");
        let times = Arc::new(AtomicI64::new(0));
        let (counted, ended, runs) = (Arc::clone(&times), Arc::clone(ended), statement.clone());
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                each_database!(&database, |pool| {
                    let done = sqlx::query(database.sql(&runs)).execute(pool).await;
                    done.unwrap_or_else(|error| panic!("{runs}: {error}"));
                });
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self {
            who,
            table,
            statement,
            times,
            task,
        }
    }

    fn times(&self) -> i64 {
        self.times.load(Ordering::SeqCst)
    }

    /// Waits until a call that was started since has ended.
    async fn goes_on(&self, when: &str) {
        let before = self.times();
        let ended = async {
            // The first of them may have started before.
            while self.times() < before + 2 {
                assert!(
                    !self.task.is_finished(),
                    "{when} it failed: {}",
                    self.statement
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
        let (who, statement) = (self.who, &self.statement);
        assert!(ended.is_ok(), "{when} a {who:?} waits: {statement}");
    }
}

/// Blocks each migration when everything is done but nothing is committed: all its locks are held, as they are while it changes a
/// larger table.
struct Gate(PgConnection);

impl Gate {
    async fn before(database: &TestDatabase) -> Self {
        database
            .execute(
                "create function hold_migration() returns trigger language plpgsql as $$ begin \
                    perform pg_advisory_xact_lock(27, new.version::int); return new; end $$; \
                 create trigger hold_migration before insert on {campanile}_campanile_migrations \
                    for each row execute function public.hold_migration()",
            )
            .await;
        let mut connection = PgConnection::connect(&database.url).await.unwrap();
        for (version, _) in missing() {
            let lock = sqlx::query("select pg_advisory_lock(27, $1::bigint::int)").bind(version);
            lock.execute(&mut connection).await.unwrap();
        }
        Self(connection)
    }

    /// Whether this migration is blocked.
    async fn holds(&mut self, version: i64) -> bool {
        let waits = "select exists (select 1 from pg_locks where locktype = 'advisory' and not granted and classid = 27 \
            and objid::bigint = $1 and database = (select oid from pg_database where datname = current_database()))";
        let waits = sqlx::query_scalar(waits).bind(version);
        waits.fetch_one(&mut self.0).await.unwrap()
    }

    async fn release(&mut self, version: i64) {
        let unlock = sqlx::query("select pg_advisory_unlock(27, $1::bigint::int)").bind(version);
        unlock.execute(&mut self.0).await.unwrap();
    }

    /// Migrates, twice concurrently. Each migration is blocked until all callers that it must not block have made progress.
    async fn migrate(mut self, database: &TestDatabase, callers: &[Caller]) {
        let migrators = [(); 2].map(|()| {
            let url = database.url.clone();
            tokio::spawn(async move { Database::connect(&url).await.unwrap().migrate().await })
        });
        for (version, name) in missing() {
            while !self.holds(version).await {
                let failed = migrators.iter().any(JoinHandle::is_finished);
                assert!(!failed, "migration {version} `{name}` is applied");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for caller in callers {
                if !may_wait(version, caller.who, caller.table) {
                    let when = format!("during migration {version} `{name}`");
                    caller.goes_on(&when).await;
                }
            }
            self.release(version).await;
        }
        for migrator in migrators {
            migrator.await.unwrap().unwrap();
        }
    }
}

/// The version and the name of each migration to apply.
fn missing() -> impl Iterator<Item = (i64, &'static str)> {
    campanile_migrations::known().skip_while(|(version, _)| *version <= BEGINS_AT)
}

/// The physical positions of the rows of the large tables.
async fn places(database: &TestDatabase) -> Vec<i64> {
    let mut places = Vec::new();
    for table in [
        "notification_dedup",
        "notifications",
        "notification_deliveries",
    ] {
        let place = format!("select pg_relation_filenode('{{campanile}}{table}')::bigint");
        places.push(database.number(&place).await);
    }
    places
}

/// F27, with two concurrent migrators. While a migration is blocked, callers that do not use the changed tables make progress.
#[test]
fn tables_with_many_rows_are_migrated_while_others_read_and_write() {
    run(Kind::Postgres, async |database| {
        let rows = rows();
        database.go_back_to(BEGINS_AT).await;
        fill(&database, rows).await;
        let gate = Gate::before(&database).await;
        let before = places(&database).await;
        let ended = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for call in CALLS {
            let own = database.with_connections(1).await;
            callers.push(Caller::start(own, call, &ended));
        }
        for caller in &callers {
            caller.goes_on("before the migrations").await;
        }
        let begun: Vec<_> = callers.iter().map(Caller::times).collect();
        gate.migrate(&database, &callers).await;
        for (caller, begun) in callers.iter().zip(begun) {
            let times = caller.times() - begun;
            assert!(
                times > 0,
                "a {:?} completed no call: {}",
                caller.who,
                caller.statement
            );
            eprintln!("{times} calls of a {:?} of {}", caller.who, caller.table);
            caller.goes_on("after the migrations").await;
        }
        // No column was added in a way that rewrites every row.
        assert_eq!(places(&database).await, before);
        ended.store(true, Ordering::SeqCst);
        let mut inserted = HashMap::new();
        for caller in callers {
            caller.task.await.unwrap();
            if caller.statement.starts_with("insert") {
                inserted.insert(caller.table, caller.times.load(Ordering::SeqCst));
            }
        }
        let steps = i64::try_from(campanile_migrations::known().count()).unwrap();
        assert_eq!(database.count("_campanile_migrations").await, steps);
        for (table, inserted) in inserted {
            assert_eq!(
                database.count(table).await,
                i64::try_from(rows).unwrap() + inserted,
                "{table}"
            );
        }
        serve(database).await;
    });
}

/// The tables work, with their previous content.
async fn serve(database: TestDatabase) {
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
}
