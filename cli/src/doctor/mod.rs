//! The **doctor** checks what a running app needs, and reports how to fix each finding.
//!
//! It changes nothing, needs no tables, and works even if the dispatcher cannot be built.

mod links;
mod tables;
mod queue;
mod workers;
mod suppressions;
mod clock;
mod server;
#[cfg(feature = "postgres")]
mod postgres;
mod process;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use campanile::database::each_connection;
use campanile::{Database, Dispatcher, Registry, RegistryError, StoreError};
use serde::Serialize;

use crate::error::with_causes;
use crate::input;
use crate::output::{Answer, Ended};
use crate::table::{counted, plain};

/// How long one check may take.
const MAX_CHECK_TIME: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// How late a delivery may be before it is reported
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = input::length_of_time)]
    overdue: Duration,

    /// How long a transaction may be open before it is reported
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = input::length_of_time)]
    open_transaction: Duration,

    /// How long finished deliveries may be kept before it is reported
    #[arg(long, value_name = "AGE", default_value = "45d", value_parser = input::length_of_time)]
    kept: Duration,
}

/// The status of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warning,
    Problem,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    message: String,
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, message.into(), None)
    }

    fn warning(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, message.into(), Some(fix.into()))
    }

    fn problem(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, Status::Problem, message.into(), Some(fix.into()))
    }

    fn new(check: &'static str, status: Status, message: String, fix: Option<String>) -> Self {
        Self {
            check,
            status,
            message,
            fix,
        }
    }
}

/// Runs every check that can be run.
pub(crate) async fn examine(
    arguments: &Arguments,
    database: &Database,
    dispatcher: Result<&Dispatcher, &RegistryError>,
) -> Answer {
    // A channel that is not configured keeps the dispatcher from being built; the events are known anyway.
    let collected = dispatcher.err().and_then(|_| Registry::collect().ok());
    let registry = match dispatcher {
        Ok(dispatcher) => Some(dispatcher.registry()),
        Err(_) => collected.as_ref(),
    };
    let mut checks = links::events_and_channels(registry, dispatcher.err());
    let answered = in_time("database", answers(database)).await;
    let is_there = answered.iter().all(|finding| finding.status == Status::Ok);
    checks.extend(answered);
    if is_there {
        checks.extend(in_time("migrations", tables::check(database)).await);
        // If tables are missing, all further findings would only follow from that.
        if checks.iter().all(|finding| !tables::are_missing(finding)) {
            checks.extend(of_the_tables(arguments, database, dispatcher.ok(), registry).await);
        }
        checks.extend(in_time("clock", clock::check(database)).await);
        checks.extend(server::checks(arguments, database).await);
    }
    checks.push(process::panics());
    answer(&checks)
}

async fn of_the_tables(
    arguments: &Arguments,
    database: &Database,
    dispatcher: Option<&Dispatcher>,
    registry: Option<&Registry>,
) -> Vec<Finding> {
    let mut checks = Vec::new();
    if let Some(dispatcher) = dispatcher {
        checks.extend(in_time("channels", links::pauses(dispatcher)).await);
        checks.extend(in_time("workers", workers::check(dispatcher)).await);
    }
    let overdue = queue::overdue(database, registry, arguments.overdue);
    checks.extend(in_time("queue", overdue).await);
    checks.extend(in_time("parked", queue::parked(database, registry)).await);
    checks.extend(in_time("finished", queue::finished(database, arguments.kept)).await);
    checks.extend(in_time("suppressions", suppressions::check(database)).await);
    checks
}

async fn answers(database: &Database) -> Result<Vec<Finding>, StoreError> {
    let asked = Instant::now();
    let statement = database.sql("select 1");
    let answer: Result<(), _> = each_connection!(database, |connection| {
        sqlx::raw_sql(statement).execute(&mut *connection).await?;
        Ok(())
    });
    answer?;
    let took = asked.elapsed().as_secs_f64() * 1_000.0;
    let kind = database.kind();
    Ok(vec![Finding::ok(
        "database",
        format!("{kind} answers in {took:.1} ms"),
    )])
}

/// A check that the database refuses, or that does not end, is itself a problem.
async fn in_time(
    name: &'static str,
    check: impl Future<Output = Result<Vec<Finding>, StoreError>>,
) -> Vec<Finding> {
    const FIX: &str =
        "check that the database is up, that its URL is right, and that its user may read";
    const POOLER: &str = "a pooler does not keep prepared statements: see the check `pooler`";
    match tokio::time::timeout(MAX_CHECK_TIME, check).await {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => {
            let message = plain(&with_causes(&error));
            let fix = if message.contains("prepared statement") {
                POOLER
            } else {
                FIX
            };
            vec![Finding::problem(name, message, fix)]
        }
        Err(_) => {
            let seconds = MAX_CHECK_TIME.as_secs();
            let message = format!("no answer within {seconds} seconds");
            vec![Finding::problem(name, message, FIX)]
        }
    }
}

fn answer(checks: &[Finding]) -> Answer {
    let count = |status| {
        checks
            .iter()
            .filter(|finding| finding.status == status)
            .count() as u64
    };
    let (problems, warnings) = (count(Status::Problem), count(Status::Warning));
    let mut text = String::new();
    for finding in checks {
        let status = match finding.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Problem => "problem",
        };
        writeln!(
            text,
            "{status:<8} {:<12}  {}",
            finding.check, finding.message
        )
        .expect("a string takes every line");
        if let Some(fix) = &finding.fix {
            writeln!(text, "{:<23}-> {fix}", "").expect("a string takes every line");
        }
    }
    let summary = format!(
        "\n{}, {}",
        counted(problems, "problem", "problems"),
        counted(warnings, "warning", "warnings")
    );
    let ended = if problems == 0 {
        Ended::Well
    } else {
        Ended::WithProblems
    };
    Answer::new(text + &summary, &checks).ended(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_check_is_reported_as_a_problem_with_its_cause() {
        let refused = async { Err(StoreError::from(sqlx::Error::PoolClosed)) };
        let checks = in_time("clock", refused).await;
        assert_eq!(checks[0].status, Status::Problem);
        assert!(checks[0].message.contains("closed"), "{checks:?}");
    }
}
