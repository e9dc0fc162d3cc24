//! Whether the **tables** match this binary.

use campanile::{Database, StoreError};

use super::{Finding, Status};
use crate::migrations::{names, state, versions};
use crate::table::counted;

const CHECK: &str = "migrations";
const NONE: &str = "the database has no tables of campanile yet";

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>, StoreError> {
    let state = state(database).await?;
    let (pending, newer) = (state.pending(), state.newer());
    let mut checks = Vec::new();
    if !state.failed().is_empty() {
        checks.push(Finding::problem(
            CHECK,
            format!("started, but failed: {}", versions(state.failed())),
            "read the database's log, undo what is half done, then run `migrate`",
        ));
    }
    if state.applied() == 0 {
        checks.push(Finding::problem(CHECK, NONE, "run `migrate`"));
    } else if !pending.is_empty() {
        let text = format!("not applied yet: {}", names(&pending));
        checks.push(Finding::problem(CHECK, text, "run `migrate`"));
    }
    if !state.renamed().is_empty() {
        checks.push(Finding::problem(
            CHECK,
            format!(
                "made by a build that was never released: {}",
                versions(state.renamed())
            ),
            "if nothing in the tables is needed, drop them and run `migrate`",
        ));
    }
    let forbidding = state.forbidding();
    if !forbidding.is_empty() {
        checks.push(Finding::problem(
            CHECK,
            format!(
                "applied by a newer campanile, and not for this binary: {}",
                versions(forbidding)
            ),
            "deploy a binary that is as new as the tables",
        ));
    }
    if checks.is_empty() {
        let applied = counted(state.applied() as u64, "migration is", "migrations are");
        let beside = match newer.as_slice() {
            [] => String::new(),
            newer => format!(
                "; a newer campanile applied {}, which this binary can run with",
                versions(newer)
            ),
        };
        checks.push(Finding::ok(
            CHECK,
            format!("{applied} applied, none is pending{beside}"),
        ));
    }
    Ok(checks)
}

/// Whether this finding says that the tables are missing or older, so that queries would only fail.
pub(super) fn are_missing(check: &Finding) -> bool {
    check.check == CHECK && check.status == Status::Problem
}
