//! Metrics and traces for operators. This is a separate binary, because a process can have only one recorder of metrics and one
//! subscriber of traces.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod figures;
mod metrics;
mod traces;

use std::sync::{Mutex, PoisonError};

use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{App, Kind};

/// Runs a test on one database and then on the other, and no other test meanwhile.
fn alone(story: impl AsyncFn(App)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        run(kind, async |database| {
            story(App::over(database).await).await;
        });
    }
}
