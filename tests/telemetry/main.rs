//! What operators measure and trace. A binary of its own, because a recorder of metrics and a subscriber of traces are one for
//! a whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod figures;
mod metrics;
mod traces;

use std::sync::{Mutex, PoisonError};

use campanile_tests::database::{Fixture as _, run};
use campanile_tests::{App, Kind};

/// Tells a story on one database and then on the other, and no other story meanwhile.
fn alone(story: impl AsyncFn(App)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in [Kind::Sqlite, Kind::Postgres] {
        run(kind, async |database| {
            story(App::over(database).await).await;
        });
    }
}
