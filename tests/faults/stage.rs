//! The **stage** of a scenario: a database, a provider, people with addresses, processes, and a clock that can be moved.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile::database::each_database;
use campanile::{DispatchReport, Dispatcher, Notice, NotifiableEvent as _};
use campanile_tests::database::Fixture;
use campanile_tests::outside::{BellRang, LetterCame, Mails, Outside, Pigeons, SignUp};
use campanile_tests::provider::{Behaviour, Keys, Provider};
use campanile_tests::{TestDatabase, older};
use tempfile::TempDir;
use tokio::process::Command;

use crate::oracle::oracle;
use crate::process::Process;
use crate::windows::log_windows;

/// Deliveries that have not ended.
pub(crate) const UNDER_WAY: &str = "select count(*) from {campanile}notification_deliveries \
    where state in ('pending', 'running')";

/// The environment of a scenario.
pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) provider: Provider,
    /// The default configuration of the processes.
    pub(crate) outside: Outside,
    /// A dispatcher of this process.
    pub(crate) dispatcher: Dispatcher,
    told: Mutex<Told>,
    _folder: TempDir,
}

/// Data for the oracle that is not in the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Every report that was received.
    pub(crate) reports: Vec<DispatchReport>,
    /// Some dispatches were made by processes whose reports were not received.
    pub(crate) unheard: bool,
    /// A worker was killed, or lost its lease: some of its sends may be unrecorded.
    pub(crate) killed: bool,
    /// Some finished deliveries were pruned.
    pub(crate) pruned: bool,
    /// Users who were forgotten.
    pub(crate) forgotten: Vec<String>,
}

impl Fixture for Stage {
    async fn over(database: TestDatabase) -> Self {
        Self::with_keys(database, Keys::Honoured).await
    }
}

impl Stage {
    /// A stage whose provider supports or ignores keys.
    pub(crate) async fn with_keys(database: TestDatabase, keys: Keys) -> Self {
        log_windows(&database).await;
        let folder = tempfile::tempdir().unwrap();
        let provider = Provider::start(keys).await;
        let outside = Outside {
            provider: provider.url.clone(),
            ledger: folder.path().join("pigeons"),
            mails: Mails::Alone,
            pigeons: Pigeons::Arrive,
            mail_millis: 3_000,
            attempt_millis: 5_000,
            lease_millis: 30_000,
            batch: 20,
            threads: 2,
            unknown_events: Vec::new(),
            unlinked: Vec::new(),
        };
        let dispatcher = outside.builder(database.database.clone()).build().unwrap();
        Self {
            database,
            provider,
            outside,
            dispatcher,
            told: Mutex::default(),
            _folder: folder,
        }
    }

    /// The additional data for the oracle.
    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file to which pigeons write.
    pub(crate) fn pigeons(&self) -> PathBuf {
        self.outside.ledger.clone()
    }

    /// Gives `u_0`, `u_1`, .. a mail address and a perch.
    pub(crate) async fn people(&self, many: usize) {
        let rows: Vec<_> = users(many)
            .iter()
            .flat_map(|user| {
                ["email", "pigeon"].map(|channel| [user.clone(), channel.into(), address(user)])
            })
            .collect();
        let rows = serde_json::json!(rows);
        let insert = format!(
            "insert into {{campanile}}notification_addresses \
             select given.value ->> 0, given.value ->> 1, given.value ->> 2, {{now}} from {{rows('{rows}')}} as given"
        );
        self.database.execute(&insert).await;
    }

    /// A dispatcher of this process with a different configuration.
    pub(crate) fn dispatcher_as(&self, change: impl FnOnce(&mut Outside)) -> Dispatcher {
        let mut outside = self.outside.clone();
        change(&mut outside);
        let database = self.database.database.clone();
        outside.builder(database).build().unwrap()
    }

    /// Leaves a notice to workers, and keeps the report.
    pub(crate) async fn enqueue(&self, notice: Notice) -> DispatchReport {
        self.keep(self.dispatcher.enqueue(notice).await.unwrap())
    }

    /// Keeps a report for the oracle.
    pub(crate) fn keep(&self, report: DispatchReport) -> DispatchReport {
        self.told().reports.push(report.clone());
        report
    }

    /// A worker in its own process.
    pub(crate) fn worker(&self) -> Process {
        self.worker_as(|_| {})
    }

    /// A worker with a different configuration.
    pub(crate) fn worker_as(&self, change: impl FnOnce(&mut Outside)) -> Process {
        self.worker_at(&self.database.url, change)
    }

    /// A worker that uses another database URL, of a proxy for example.
    pub(crate) fn worker_at(&self, url: &str, change: impl FnOnce(&mut Outside)) -> Process {
        Process::start(&mut self.worker_command(url, change))
    }

    /// The command that starts a worker.
    pub(crate) fn worker_command(&self, url: &str, change: impl FnOnce(&mut Outside)) -> Command {
        let mut outside = self.outside.clone();
        change(&mut outside);
        let (name, value) = outside.variable();
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile-fault-worker"));
        command.arg(url).env(name, value);
        command
    }

    /// The command that starts a process that notifies `people` users again and again until it is killed.
    pub(crate) fn dispatcher_command(
        &self,
        url: &str,
        way: &str,
        name: &str,
        people: usize,
    ) -> Command {
        self.told().unheard = true;
        let (variable, value) = self.outside.variable();
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile-fault-dispatcher"));
        command
            .args([url, way, name, &people.to_string()])
            .env(variable, value);
        command
    }

    /// A worker of the older version, in its own process.
    pub(crate) fn older_worker(&self) -> Process {
        let (name, value) = self.outside.variable();
        let mut command = Command::new(older::program("campanile-fault-worker"));
        Process::start(command.arg(&self.database.url).env(name, value))
    }

    /// A process of the older version that dispatches, as [`dispatcher_command`](Self::dispatcher_command).
    pub(crate) fn older_dispatcher(&self, name: &str, people: usize) -> Process {
        self.told().unheard = true;
        let (variable, value) = self.outside.variable();
        let mut command = Command::new(older::program("campanile-fault-dispatcher"));
        command
            .args([&self.database.url, "enqueue", name, &people.to_string()])
            .env(variable, value);
        Process::start(&mut command)
    }

    /// Kills a worker with `kill -9`.
    pub(crate) async fn kill(&self, worker: Process) {
        self.told().killed = true;
        worker.kill().await;
    }

    /// Stops a worker with `SIGSTOP` while it does not hold the lock of an SQLite file: otherwise nobody could write until it
    /// continues.
    pub(crate) async fn stop(&self, worker: &Process) {
        loop {
            worker.signal("STOP").await;
            let write = "delete from {campanile}notification_dedup where event_type = ''";
            if self.database.accepts(write).await {
                return;
            }
            worker.signal("CONT").await;
        }
    }

    /// How many deliveries are in a state.
    pub(crate) async fn in_state(&self, state: &str) -> i64 {
        let count = format!(
            "select count(*) from {{campanile}}notification_deliveries where state = '{state}'"
        );
        self.database.number(&count).await
    }

    /// Waits until a condition holds.
    pub(crate) async fn eventually(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let wait = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_mins(1), wait).await;
        assert!(waited.is_ok(), "not within a minute: {what}");
    }

    /// Waits until every delivery has ended.
    pub(crate) async fn all_ended(&self) {
        let ended = async || self.database.number(UNDER_WAY).await == 0;
        self.eventually("every delivery has ended", ended).await;
    }

    /// Ends every pause and every lease. Active leases are lost by this, as if their worker had been stopped for long.
    pub(crate) async fn advance(&self) {
        self.told().killed = true;
        self.make_due().await;
    }

    async fn make_due(&self) {
        self.database.advance_deliveries().await;
        self.probe_now().await;
    }

    /// Makes the probe of a paused channel due.
    pub(crate) async fn probe_now(&self) {
        let probes = "update {campanile}notification_channel_pauses set probe_at = {earlier(1)} where probe_at is not null";
        self.database.execute(probes).await;
    }

    /// Makes waiting deliveries due; leases stay.
    pub(crate) async fn end_pauses(&self) {
        let due = "update {campanile}notification_deliveries set run_at = {earlier(1)} where state = 'pending'";
        self.database.execute(due).await;
    }

    /// Lets time pass in the database: every stored time is moved into the past.
    pub(crate) async fn pass_time(&self, seconds: i64) {
        for (table, columns) in TIMES {
            let moved: Vec<_> = columns
                .iter()
                .map(|column| match self.database.kind {
                    campanile_tests::Kind::Postgres => {
                        format!("{column} = {column} - interval '{seconds} seconds'")
                    }
                    campanile_tests::Kind::Sqlite => {
                        format!("{column} = {column} - {seconds} * 1000000")
                    }
                })
                .collect();
            let update = format!("update {{campanile}}{table} set {}", moved.join(", "));
            self.database.execute(&update).await;
        }
    }

    /// Runs all deliveries to their end, with a provider that works again: workers run until none is unfinished.
    pub(crate) async fn run_out(&self) {
        self.provider.always(Behaviour::Accept);
        self.provider.release();
        // Batches that may not have arrived are retried unchanged.
        let dispatcher = self.dispatcher_as(|settings| settings.mails = Mails::Together);
        for _ in 0..60 {
            if self.database.number(UNDER_WAY).await == 0 {
                return;
            }
            // No worker is left that could lose a lease by this.
            self.make_due().await;
            dispatcher.deliver_due(1_000).await.unwrap();
        }
        panic!("some deliveries never end");
    }

    /// The end of every scenario, when its processes have ended: all deliveries run to their end, and the oracle finds nothing.
    pub(crate) async fn ends_well(&self) {
        self.run_out().await;
        let found = oracle(self).await;
        let test = std::thread::current();
        let test = test.name().unwrap_or("a scenario");
        eprintln!("{test}: the oracle found nothing wrong with {found}");
    }

    /// One number from the database, from a statement with one text parameter.
    pub(crate) async fn number_of(&self, statement: &str, parameter: &str) -> i64 {
        let statement = self.database.database.sql(statement);
        each_database!(&self.database.database, |pool| {
            let number = sqlx::query_scalar(statement).bind(parameter);
            number.fetch_one(pool).await.unwrap()
        })
    }
}

/// Every stored time.
const TIMES: [(&str, &[&str]); 6] = [
    ("notification_dedup", &["fired_at", "window_ends_at"]),
    ("notification_dispatches", &["created_at"]),
    (
        "notification_deliveries",
        &[
            "run_at",
            "lease_until",
            "first_attempt_at",
            "expires_at",
            "created_at",
            "finished_at",
        ],
    ),
    ("notification_attempts", &["started_at"]),
    ("notifications", &["created_at"]),
    ("notification_channel_pauses", &["paused_at", "probe_at"]),
];

/// `u_0`, `u_1`, ..
pub(crate) fn users(many: usize) -> Vec<String> {
    (0..many).map(|n| format!("u_{n}")).collect()
}

/// The mail address of a user.
pub(crate) fn address(user: &str) -> String {
    format!("{user}@example.com")
}

/// A bell rang: in the inbox, by mail and by pigeon. The oracle identifies mails by their texts, so no two admitted notices of a
/// scenario have the same text.
pub(crate) fn bell(text: &str, people: usize) -> Notice {
    BellRang { text: text.into() }.about(text).to(users(people))
}

/// A letter came: only by mail.
pub(crate) fn letter(text: &str, people: usize) -> Notice {
    LetterCame { text: text.into() }
        .about(text)
        .to(users(people))
}

/// A sign was put up: only in the inbox.
pub(crate) fn sign(text: &str, people: usize) -> Notice {
    SignUp { text: text.into() }.about(text).to(users(people))
}
