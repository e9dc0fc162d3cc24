//! The programs of an **older** version of campanile, to run beside those of this one, and its tables.
//!
//! They are built from this repository's history, once for each target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use campanile::database::each_database;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

use crate::{Kind, TestDatabase};

/// The files of the last migration that the older version knows. Its commit is the last one that changed them.
const TABLES: [&str; 2] = [
    "migrations/postgres/0001_campanile.sql",
    "migrations/sqlite/0001_campanile.sql",
];

/// The last migration that it knows.
pub const MIGRATION: i64 = 1;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The commit of that version.
fn commit() -> String {
    let log = Command::new("git")
        .args(["log", "-1", "--format=%H", "--"])
        .args(TABLES)
        .current_dir(REPOSITORY)
        .output()
        .expect("git is there: `sudo apt-get install git`");
    let commit = String::from_utf8(log.stdout).expect("a commit is ASCII");
    let commit = commit.trim();
    assert!(
        !commit.is_empty(),
        "the history does not say which commit made the tables, and programs of that version run beside newer ones here: \
         clone the repository with its history"
    );
    commit.to_owned()
}

/// A program of that version: `campanile-fault-worker` or `campanile-fault-dispatcher`.
///
/// # Panics
///
/// When it cannot be built. In a clone without history the message says how to get the history.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

/// Builds the programs, in a folder of their own beside those of this version, and returns that folder.
fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a program");
    // `target/debug/deps/a_test-0123456789abcdef`
    let profile = own.ancestors().nth(2).expect("cargo's folders are deep");
    let commit = commit();
    let folder = profile.with_file_name("older").join(&commit);
    let (source, target) = (folder.join("source"), folder.join("target"));
    let programs = target.join("debug");
    if folder.join("complete").exists() {
        return programs;
    }
    unpack(&commit, &source);
    borrow_dependencies(profile, &programs);
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "campanile-tests",
        ])
        .args([
            "--bin",
            "campanile-fault-worker",
            "--bin",
            "campanile-fault-dispatcher",
        ])
        .current_dir(&source)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .expect("cargo runs");
    assert!(
        built.success(),
        "commit {commit} does not build in {}",
        source.display()
    );
    std::fs::write(folder.join("complete"), "").expect("the target folder can be written");
    programs
}

/// Unpacks that version's source.
fn unpack(commit: &str, source: &Path) {
    let _ = std::fs::remove_dir_all(source);
    std::fs::create_dir_all(source).expect("the target folder can be written");
    let mut archive = Command::new("git")
        .args(["archive", commit])
        .current_dir(REPOSITORY)
        .stdout(Stdio::piped())
        .spawn()
        .expect("git is there: `sudo apt-get install git`");
    let unpacked = Command::new("tar")
        .arg("x")
        .current_dir(source)
        .stdin(archive.stdout.take().expect("it is piped"))
        .status()
        .expect("tar is there");
    let archived = archive.wait().expect("git runs");
    assert!(
        archived.success() && unpacked.success(),
        "this clone has no commit {commit}, whose programs run beside newer ones here: `git fetch --unshallow`, or clone \
         the repository with its history"
    );
}

/// Links the dependencies that this version has built, to avoid building most of them again. If linking fails, they are built.
fn borrow_dependencies(profile: &Path, programs: &Path) {
    std::fs::create_dir_all(programs).expect("the target folder can be written");
    for folder in ["deps", "build", ".fingerprint"] {
        let _ = Command::new("cp")
            .args(["--archive", "--link", "--no-clobber"])
            .arg(profile.join(folder))
            .arg(programs)
            .stderr(Stdio::null())
            .status();
    }
}

impl TestDatabase {
    /// Replaces the tables by empty ones, as they were after this migration.
    ///
    /// # Panics
    ///
    /// When the database refuses it.
    pub async fn go_back_to(&self, migration: i64) {
        if self.kind == Kind::Postgres {
            self.execute("drop schema campanile cascade").await;
        } else {
            let tables =
                "select name from sqlite_master where type = 'table' and name not like 'sqlite%'";
            for table in self.lines(tables).await {
                self.execute(&format!("drop table {table}")).await;
            }
        }
        each_database!(&self.database, |pool| {
            let migrated = migrator(self.kind, migration).run(pool).await;
            migrated.expect("empty tables can be made");
        });
    }
}

/// The migrations up to this one, as an older version would run them.
fn migrator(kind: Kind, last: i64) -> Migrator {
    let (folder, table) = match kind {
        Kind::Postgres => ("postgres", "campanile._campanile_migrations"),
        Kind::Sqlite => ("sqlite", "_campanile_migrations"),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../migrations")
        .join(folder);
    let steps = campanile_migrations::known().take_while(|(version, _)| *version <= last);
    let steps = steps.map(|(version, name)| {
        let sql = std::fs::read_to_string(folder.join(format!("{version:04}_{name}.sql")));
        let sql = AssertSqlSafe(sql.expect("a migration has its file")).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(steps.collect());
    migrator.dangerous_set_table_name(table);
    if kind == Kind::Postgres {
        migrator.create_schema("campanile");
    }
    migrator
}
