//! A fresh, migrated database for each test: a SQLite file, or a Postgres database copied from a template.

use std::ffi::OsString;
use std::panic::resume_unwind;

use campanile::Database;
use campanile::database::each_database;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::cluster::{self, OwnServer};

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An SQLite file.
    Sqlite,
    /// A Postgres server.
    Postgres,
}

/// A migrated database for one test.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Its kind.
    pub kind: Kind,
    /// A pool of connections to it.
    pub database: Database,
    /// Its URL, for other processes.
    pub url: String,
}

/// The argument of a story: a database, or a fixture on one.
pub trait Fixture {
    /// Sets it up.
    fn over(database: TestDatabase) -> impl Future<Output = Self>;
}

impl Fixture for TestDatabase {
    async fn over(database: TestDatabase) -> Self {
        database
    }
}

/// Runs a story on a server of its own, which it may crash.
///
/// # Panics
///
/// When the story does, or when there is no PostgreSQL.
pub fn run_on_own_server<S>(environment: &[(&str, OsString)], story: S)
where
    S: AsyncFnOnce(TestDatabase, &OwnServer),
{
    let server = OwnServer::start_with(environment);
    let runtime = runtime();
    runtime.block_on(async { story(TestDatabase::on(&server).await, &server).await });
    runtime.shutdown_background();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("a runtime can be built")
}

/// Runs a story on a database of its own, and removes the database even if the story fails.
///
/// # Panics
///
/// When the story does, or when there is no database.
pub fn run<S>(kind: Kind, story: S)
where
    S: AsyncFnOnce(TestDatabase),
{
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (name, database) = runtime.block_on(async {
        match kind {
            Kind::Sqlite => (None, sqlite(folder.path()).await),
            Kind::Postgres => {
                let (name, database) = postgres().await;
                (Some(name), database)
            }
        }
    });
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(story(database));
    }));
    runtime.block_on(async {
        if let Some(name) = name {
            let drop = format!("drop database if exists {name} with (force)");
            admin(&drop)
                .await
                .expect("a test's database can be dropped");
        }
    });
    runtime.shutdown_background();
    if let Err(panic) = told {
        resume_unwind(panic);
    }
}

async fn sqlite(folder: &std::path::Path) -> TestDatabase {
    let file = folder.join("test.sqlite");
    std::fs::write(&file, migrated_file().await).expect("a file can be written");
    let url = format!("sqlite://{}", file.display());
    let database = Database::connect(&url).await.expect("a file can be opened");
    TestDatabase {
        kind: Kind::Sqlite,
        database,
        url,
    }
}

/// The bytes of a migrated file, of which every test gets a copy.
async fn migrated_file() -> &'static [u8] {
    static FILE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let file = FILE.get_or_init(|| async {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("template.sqlite");
        let database = Database::connect(&format!("sqlite://{}", path.display()))
            .await
            .expect("a file can be made");
        database
            .migrate()
            .await
            .expect("an empty file can be migrated");
        // The last connection writes the log back into the file.
        each_database!(&database, |pool| pool.close().await);
        let log = folder.path().join("template.sqlite-wal");
        assert!(!log.exists(), "the file is whole");
        std::fs::read(path).expect("the file is there")
    });
    file.await
}

impl TestDatabase {
    /// A new, migrated database on a server of the test's own.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    pub async fn on(server: &OwnServer) -> Self {
        let database = Database::connect(&server.url)
            .await
            .expect("the server answers");
        database
            .migrate()
            .await
            .expect("an empty database can be migrated");
        Self {
            kind: Kind::Postgres,
            database,
            url: server.url.clone(),
        }
    }
}

async fn postgres() -> (String, TestDatabase) {
    let template = template().await;
    let name = format!("campanile_test_{}", Uuid::now_v7().simple());
    admin(&format!("create database {name} {template}"))
        .await
        .expect("a database can be copied");
    let url = url_of(&name);
    let pool = PgPoolOptions::new()
        .max_connections(20)
        .connect(&url)
        .await
        .expect("a new database answers");
    let database = TestDatabase {
        kind: Kind::Postgres,
        database: pool.into(),
        url,
    };
    (name, database)
}

/// The options that copy a migrated database, which takes 50 ms and is faster than the migrations. A server without fsync copies
/// files faster than it writes the copy to its log, which is the default since version 15.
async fn template() -> &'static str {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    TEMPLATE
        .get_or_init(|| async {
            let name = format!("campanile_template_{}", Uuid::now_v7().simple());
            admin(&format!("create database {name}"))
                .await
                .expect("a database can be created; the user needs CREATEDB");
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .connect(&url_of(&name))
                .await
                .expect("a new database answers");
            Database::from(pool.clone())
                .migrate()
                .await
                .expect("an empty database can be migrated");
            let copies_files = "select current_setting('fsync') = 'off' \
                and current_setting('server_version_num')::int >= 150000";
            let copies_files: bool = sqlx::query_scalar(copies_files)
                .fetch_one(&pool)
                .await
                .expect("a server knows its settings");
            pool.close().await;
            let strategy = if copies_files {
                " strategy file_copy"
            } else {
                ""
            };
            format!("template {name}{strategy}")
        })
        .await
}

async fn admin(statement: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(cluster::url()).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}

/// The server's URL with another database.
fn url_of(name: &str) -> String {
    let (server, query) = match cluster::url().split_once('?') {
        Some((server, query)) => (server, format!("?{query}")),
        None => (cluster::url(), String::new()),
    };
    let server = server.rsplit_once('/').map_or(server, |(server, _)| server);
    format!("{server}/{name}{query}")
}

impl TestDatabase {
    /// The same database with a pool of its own, of this size.
    ///
    /// # Panics
    ///
    /// When the database does not answer.
    pub async fn with_connections(&self, connections: u32) -> Database {
        match self.kind {
            Kind::Postgres => {
                let pool = PgPoolOptions::new().max_connections(connections);
                pool.connect(&self.url).await.expect("it answers").into()
            }
            Kind::Sqlite => {
                let options: SqliteConnectOptions = self.url.parse().expect("a valid URL");
                let options = options.busy_timeout(std::time::Duration::from_secs(10));
                let pool = SqlitePoolOptions::new().max_connections(connections);
                pool.connect_with(options).await.expect("it opens").into()
            }
        }
    }

    /// Runs a statement, with the placeholders of [`Database::sql`].
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn execute(&self, statement: &str) {
        let statement = self.database.sql(statement);
        each_database!(&self.database, |pool| {
            pool.execute(statement)
                .await
                .expect("the statement is valid");
        });
    }

    /// Whether a statement can run at once, because nobody holds the lock of the SQLite file.
    ///
    /// # Panics
    ///
    /// When the file cannot be opened.
    pub async fn accepts(&self, statement: &str) -> bool {
        if self.kind == Kind::Postgres {
            self.execute(statement).await;
            return true;
        }
        let options: SqliteConnectOptions = self.url.parse().expect("a valid URL");
        let options = options.busy_timeout(std::time::Duration::from_millis(100));
        let connection = sqlx::SqliteConnection::connect_with(&options).await;
        let mut connection = connection.expect("the file is there");
        let done = connection.execute(self.database.sql(statement)).await;
        connection.close().await.expect("it can be closed");
        done.is_ok()
    }

    /// The number that a query returns, with the placeholders of [`Database::sql`].
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn number(&self, statement: &str) -> i64 {
        let statement = self.database.sql(statement);
        each_database!(&self.database, |pool| {
            sqlx::query_scalar(statement)
                .fetch_one(pool)
                .await
                .expect("the statement is valid")
        })
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        self.number(&format!("select count(*) from {{campanile}}{table}"))
            .await
    }

    /// How many rows the tables have into which a dispatch writes, all together.
    pub async fn written(&self) -> i64 {
        let mut rows = 0;
        for table in [
            "notifications",
            "notification_dedup",
            "notification_dispatches",
            "notification_deliveries",
            "notification_attempts",
        ] {
            rows += self.count(table).await;
        }
        rows
    }

    /// Adds this many items to the inboxes of a hundred other users: a fifth of them are archived, a fifth read, a fifth seen.
    pub async fn fill_inbox(&self, items: u32) {
        self.fill("'other_' || (n % 100)", items).await;
    }

    /// Adds this many items to one user's inbox: a fifth of them are archived, a fifth read, a fifth seen.
    pub async fn fill_inbox_of(&self, user: &str, items: u32) {
        self.fill(&format!("'{user}'"), items).await;
    }

    async fn fill(&self, user: &str, items: u32) {
        let (id, series) = match self.kind {
            Kind::Postgres => (
                "gen_random_uuid()",
                format!("generate_series(1, {items}) as series(n)"),
            ),
            Kind::Sqlite => (
                "hex(randomblob(16))",
                format!(
                    "(with recursive series(n) as (select 1 union all select n + 1 from series where n < {items}) \
                     select n from series)"
                ),
            ),
        };
        self.execute(&format!(
            "insert into {{campanile}}notifications \
             (id, user_id, event_type, category, title, body, payload, created_at, {{sqlite(created_in, changed_in, )}}archived, archived_at, \
             read_at, seen_at) select {id}, {user}, 'a.b.c', 'a', n, 'b', {{json('[]')}}, {{now}}, {{sqlite(0, 0, )}}\
             n / 7 % 5 = 0, case when n / 7 % 5 = 0 then {{now}} end, case when n / 7 % 5 = 1 then {{now}} end, \
             case when n / 7 % 5 = 2 then {{now}} end from {series}"
        ))
        .await;
        self.execute("analyze").await;
    }

    /// The query plan of a statement of the inbox for a user, of any organization and category, with these further parameters.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn plan_for(&self, user: &str, statement: &str, more: &[Option<String>]) -> String {
        let mut parameters = vec![Some(user.to_owned()), None, None];
        parameters.extend_from_slice(more);
        self.plan_of(statement, &parameters).await
    }

    /// The query plan of a statement with these parameters.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn plan_of(&self, statement: &str, parameters: &[Option<String>]) -> String {
        let (explain, column) = match self.kind {
            Kind::Postgres => ("explain", 0),
            Kind::Sqlite => ("explain query plan", 3),
        };
        let statement = self.database.sql(&format!("{explain} {statement}"));
        each_database!(&self.database, |pool| {
            let mut query = sqlx::query(statement);
            for parameter in parameters {
                query = query.bind(parameter);
            }
            let rows = query.fetch_all(pool).await.expect("the statement is valid");
            let lines = rows
                .iter()
                .map(|row| sqlx::Row::get::<String, _>(row, column));
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// Moves every window into the past, as if this time had passed.
    pub async fn advance_windows(&self, seconds: u32) {
        let by = match self.kind {
            Kind::Postgres => format!("interval '{seconds} seconds'"),
            Kind::Sqlite => format!("{seconds} * 1000000"),
        };
        self.execute(&format!(
            "update {{campanile}}notification_dedup \
             set fired_at = fired_at - {by}, window_ends_at = window_ends_at - {by}"
        ))
        .await;
    }

    /// Moves every stored time - of windows, pauses of deliveries and channels, leases, horizons - as if so many microseconds had
    /// passed. A negative number moves them back.
    pub async fn advance_clock(&self, micros: i64) {
        let by = self.span_of(micros);
        let tables = [
            ("notification_dedup", &["fired_at", "window_ends_at"][..]),
            (
                "notification_deliveries",
                &[
                    "run_at",
                    "lease_until",
                    "first_attempt_at",
                    "expires_at",
                    "outage_since",
                ],
            ),
            ("notification_channel_pauses", &["paused_at", "probe_at"]),
        ];
        let statements = tables.map(|(table, columns)| {
            let moved = columns
                .iter()
                .map(|column| format!("{column} = {column} - {by}"));
            let moved = moved.collect::<Vec<_>>().join(", ");
            format!("update {{campanile}}{table} set {moved}")
        });
        self.execute(&statements.join("; ")).await;
    }

    /// A duration of so many microseconds, in SQL.
    #[must_use]
    pub fn span_of(&self, micros: i64) -> String {
        match self.kind {
            Kind::Postgres => format!("{micros} * interval '1 microsecond'"),
            Kind::Sqlite => format!("({micros})"),
        }
    }

    /// The time so many microseconds after 1970, in SQL.
    #[must_use]
    pub fn time_of(&self, micros: &str) -> String {
        match self.kind {
            Kind::Postgres => {
                format!("timestamptz 'epoch' + cast({micros} as bigint) * interval '1 microsecond'")
            }
            Kind::Sqlite => format!("cast({micros} as integer)"),
        }
    }

    /// Makes every waiting delivery due, as if its pause were over. Beside a worker: whoever moves leases too, lets it send twice.
    pub async fn advance_waiting_deliveries(&self) {
        self.execute("update {campanile}notification_deliveries set run_at = {earlier(1)} where state = 'pending'")
            .await;
    }

    /// Makes every delivery due, as if its pause or lease were over.
    pub async fn advance_deliveries(&self) {
        // The update locks rows in any order, workers by id: the table is locked so that they cannot deadlock.
        let alone = match self.kind {
            Kind::Postgres => "lock table {campanile}notification_deliveries in exclusive mode; ",
            Kind::Sqlite => "",
        };
        self.execute(&format!(
            "{alone}{}",
            "update {campanile}notification_deliveries set run_at = {earlier(1)}, \
             lease_until = case when lease_until is null then null else {earlier(1)} end \
             where state in ('pending', 'running')",
        ))
        .await;
    }
}
