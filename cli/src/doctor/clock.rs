//! The **clocks** of the database and of this host. Only the database's clock makes decisions, but this host's is used in ids and
//! logs.

use std::time::Instant;

use campanile::database::{each_connection, statement};
use campanile::{Database, StoreError};
use jiff::Timestamp;
use sqlx::Row as _;

use super::Finding;

const CHECK: &str = "clock";

/// A larger difference is reported, in seconds.
const MAX_OFFSET: f64 = 2.0;

statement! {
    NOW = "select {micros(now)} from (select {now} as now) as clock"
}

pub(super) async fn check(database: &Database) -> Result<Vec<Finding>, StoreError> {
    let (before, asked) = (Timestamp::now(), Instant::now());
    let micros: Result<i64, _> = each_connection!(database, |connection| {
        let row = sqlx::raw_sql(NOW.on(database))
            .fetch_one(&mut *connection)
            .await?;
        row.try_get(0)
    });
    let micros = micros?;
    // The database read its clock somewhere in between.
    let took = asked.elapsed().as_secs_f64();
    let here = before.as_duration().as_secs_f64() + took / 2.0;
    let there = std::time::Duration::from_micros(u64::try_from(micros).unwrap_or_default());
    Ok(vec![judge(here - there.as_secs_f64(), took / 2.0)])
}

/// How far this host is ahead, and the uncertainty.
fn judge(ahead: f64, give_or_take: f64) -> Finding {
    if ahead.abs() - give_or_take <= MAX_OFFSET {
        return Finding::ok(
            CHECK,
            format!("this host and the database differ by {:.3} s", ahead.abs()),
        );
    }
    let direction = if ahead > 0.0 { "ahead of" } else { "behind" };
    Finding::warning(
        CHECK,
        format!(
            "this host is {:.1} s {direction} the database; inbox items of several hosts will be out of order",
            ahead.abs()
        ),
        "run an NTP service on both, on systemd `timedatectl set-ntp true`",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_slow_answer_is_not_reported_as_a_wrong_clock() {
        assert_eq!(judge(0.3, 0.001).status, Status::Ok);
        assert_eq!(judge(-3.0, 2.0).status, Status::Ok);
        assert_eq!(judge(7_200.0, 0.001).status, Status::Warning);
        let behind = judge(-7_200.0, 0.001);
        assert!(behind.message.contains("behind"), "{behind:?}");
    }
}
