//! What a run of the bench measures.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "campanile knows these two")]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server of the bench's own.
    Postgres,
}

impl Kind {
    /// Its name, as a report shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        }
    }
}

/// Which work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Work {
    /// One recipient, with many callers side by side.
    One,
    /// One dispatch to many recipients.
    FanOut,
    /// Writes and reads where there are many old rows.
    Rows,
    /// Workers on a queue.
    Drain,
    /// Claims while an old snapshot stays open.
    Snapshot,
    /// A dispatch inside the host's transaction.
    Transaction,
    /// How long a host with many events compiles.
    Compile,
}

impl Work {
    /// Its name, as the command line and a report show it.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// How large the works are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "it is a choice between two")]
pub enum Form {
    /// As large as the documentation says.
    Full,
    /// So small that a test can run it.
    Quick,
}

impl Form {
    /// The one value or the other.
    pub(crate) fn of<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// What to run.
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by `new` and changed by its callers"
)]
pub struct Options {
    /// The works.
    pub works: Vec<Work>,
    /// The databases.
    pub databases: Vec<Kind>,
    /// How large the works are.
    pub form: Form,
    /// How many rounds; in each of them every contender runs once.
    pub rounds: u32,
    /// With how many old rows the work [`Work::Rows`] begins.
    pub rows: Vec<u64>,
    /// The program `campanile-bench`, which is started for what is measured in a process of its own.
    pub program: PathBuf,
}

impl Options {
    /// Every work on both databases.
    #[must_use]
    pub fn new(form: Form, program: PathBuf) -> Self {
        Self {
            works: Work::value_variants().to_vec(),
            databases: vec![Kind::Sqlite, Kind::Postgres],
            form,
            rounds: form.of(5, 1),
            rows: form.of(vec![100_000, 10_000_000], vec![2_000]),
            program,
        }
    }
}
