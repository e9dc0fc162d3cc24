//! The errors of the database, and what they mean for the caller.

use std::io::ErrorKind;

use campanile_migrations::MigrationError;

/// An error of the database. Opaque; its methods answer the questions that a caller has.
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    message: String,
    kind: Kind,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kind of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The same call may succeed later.
    Transient,
    /// The same, and its connection is broken.
    Broken,
    /// The same call will not succeed later.
    Lasting,
    /// The same call will not succeed later, but the cause may be one row, and the other rows may succeed without it.
    OfARow,
    /// The tables need a newer binary.
    BinaryTooOld,
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Transient | Kind::Broken)
    }

    /// Whether the connection must not be used any more.
    pub(crate) const fn is_broken(&self) -> bool {
        matches!(self.kind, Kind::Broken)
    }

    /// Whether the tables are at a migration that this binary must not run with. Only a newer binary helps.
    #[must_use]
    pub const fn is_binary_too_old(&self) -> bool {
        matches!(self.kind, Kind::BinaryTooOld)
    }

    /// Whether the database may have rejected one row of several: by a trigger or a rule of the host's, or because the row is
    /// damaged.
    pub(crate) const fn is_of_a_row(&self) -> bool {
        matches!(self.kind, Kind::OfARow)
    }

    pub(crate) fn unsupported(message: String) -> Self {
        Self {
            message,
            kind: Kind::Lasting,
            source: None,
        }
    }

    pub(crate) fn interrupted() -> Self {
        Self {
            message: "the write was interrupted: the runtime is shutting down".into(),
            kind: Kind::Transient,
            source: None,
        }
    }
}

/// The message with its cause: this is what a `main` that returns the error prints.
impl std::fmt::Debug for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let (message, kind) = match &error {
            sqlx::Error::Database(cause) => {
                let code = cause.code().unwrap_or_default();
                (advice(&code), kind_of(&code))
            }
            sqlx::Error::PoolTimedOut => (
                "no connection became free in time: the pool is too small for the load, or handlers hold connections while they dispatch (use `enqueue_in` there), or the database no longer answers",
                Kind::Transient,
            ),
            sqlx::Error::PoolClosed => ("the connection pool is closed", Kind::Lasting),
            sqlx::Error::Io(cause) if cause.kind() == ErrorKind::TimedOut => {
                ("the database did not answer in time", Kind::Broken)
            }
            // Only the wait for a connection returns this error.
            sqlx::Error::Io(cause) if cause.kind() == ErrorKind::WouldBlock => (
                "the application itself holds every connection of the pool: inside its transaction use `enqueue_in`, or give the connection back before the dispatch, or make the pool larger",
                Kind::Transient,
            ),
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => {
                ("the connection to the database broke", Kind::Broken)
            }
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                ("the database gave an unexpected answer", Kind::OfARow)
            }
            _ => ("the database gave an unexpected answer", Kind::Lasting),
        };
        Self {
            message: message.into(),
            kind,
            source: Some(Box::new(error)),
        }
    }
}

impl From<MigrationError> for StoreError {
    fn from(error: MigrationError) -> Self {
        let kind = match error {
            // An error of the database has its own advice.
            MigrationError::Unread(error) => return error.into(),
            MigrationError::BinaryTooOld { .. } => Kind::BinaryTooOld,
            _ => Kind::Lasting,
        };
        let message = error.to_string();
        let source = match error {
            MigrationError::Migrate(source) | MigrationError::NoRights { source, .. } => {
                Some(source.into())
            }
            _ => None,
        };
        Self {
            message,
            kind,
            source,
        }
    }
}

/// What an SQLSTATE (five characters) or an SQLite result code (a number) means to the caller.
fn advice(code: &str) -> &'static str {
    match code {
        "42P01" | "3F000" => "campanile's tables are missing: run `database.migrate()` at start-up",
        "1" => {
            "the statement was rejected; if it says `no such table`, run `database.migrate()` at start-up"
        }
        "40001" | "40P01" => {
            "deadlock or serialization failure: try again; inside your own transaction, retry the whole transaction"
        }
        "25P02" => {
            "the transaction was aborted by an earlier error: roll it back, and retry it if that error can be retried"
        }
        "55P03" => "another transaction holds the same dedup key; try again",
        "5" | "261" | "517" | "6" => {
            "the database is locked by another writer; try again, or use `enqueue_in` if the writer is your own transaction"
        }
        "13" | "53100" => "the disk is full",
        "3D000" => "there is no such database",
        "28000" | "28P01" => "the database rejected this user's login",
        "42501" => {
            "this role lacks a privilege: it needs `usage` on the schema `campanile`, and `select, insert, update, delete` on the tables in it"
        }
        _ => "the database refused the statement",
    }
}

fn kind_of(code: &str) -> Kind {
    match (is_transient(code), is_of_a_row(code)) {
        (true, _) => Kind::Transient,
        (false, true) => Kind::OfARow,
        (false, false) => Kind::Lasting,
    }
}

/// Postgres: class 08 (connection), 40 (rollback), 53 (resources), 55P03 (lock), 57P0x (restart). SQLite: BUSY, LOCKED.
fn is_transient(code: &str) -> bool {
    if code.len() == 5 {
        return ["08", "40", "53"]
            .iter()
            .any(|class| code.starts_with(class))
            || code == "55P03"
            || code.starts_with("57P0");
    }
    matches!(code, "5" | "261" | "517" | "6" | "262")
}

/// Whether another row may succeed. Not on Postgres: a read-only server (25), a rejected login (28), no such database, table or
/// column (3D, 3F, 42P01, 42703), a server that is out of order (57, 58). Not on SQLite: no such table, no access, a read-only,
/// full or damaged file.
fn is_of_a_row(code: &str) -> bool {
    if code.len() == 5 {
        let of_all = ["25", "28", "3D", "3F", "42P01", "42703", "57", "58"];
        return !of_all.iter().any(|of_all| code.starts_with(of_all));
    }
    // The first byte is the kind; the rest is detail.
    let kind = code.parse::<u32>().unwrap_or_default() & 0xff;
    !matches!(kind, 0 | 1 | 3 | 8 | 10 | 11 | 13 | 14 | 23 | 26)
}
