//! Claims while an old **snapshot** stays open: what has passed cannot be cleaned up, and a claim must not walk over it. The loop by
//! hand does not take part: its claim is the raw limit's, and it would take hours to deliver as many one by one.

use std::time::Instant;

use campanile::Database;
use campanile::database::each_database;
use sqlx::Executor as _;

use super::Run;
use crate::contenders::{self, CAMPANILE, Contender, LIMIT};
use crate::measure::server::Observer;
use crate::measure::{CLAIM, Sample, float, percentiles};
use crate::report::{Case, Samples};
use crate::stage::Place;
use crate::{Result, host};

/// How many deliveries one claim takes.
const BATCH: usize = 100;

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let (deliveries, portion) = run.of((500_000, 10_000), (600, 200));
    let names = [LIMIT, CAMPANILE];
    let mut first = Samples::of(format!("rounds of {BATCH}, at first"), &names);
    let after = deliveries - portion;
    let mut last = Samples::of(
        format!("rounds of {BATCH}, after {after} have passed"),
        &names,
    );
    for _ in 0..run.options.rounds {
        last.next_round();
        for name in first.next_round() {
            let place = run.stage.place().await?;
            let (at_first, at_last) = pass(name, &place, deliveries, portion).await?;
            first.record(name, at_first);
            last.record(name, at_last);
            run.stage.clear(place).await?;
        }
    }
    Ok(vec![first.end(), last.end()])
}

/// Has so many deliveries pass, a portion at a time, and gives what the first and the last portion took.
async fn pass(
    name: &str,
    place: &Place,
    deliveries: usize,
    portion: usize,
) -> Result<(Sample, Sample)> {
    let database = place.open().await?;
    let contender = contenders::open(name, place).await?;
    host::queue(&database, portion).await?;
    let passed = each_database!(&database, |pool| {
        let mut old = pool.acquire().await?.detach();
        for statement in snapshot(&database) {
            old.execute(*statement).await?;
        }
        let passed = portions(&*contender, place, &database, (deliveries, portion)).await?;
        old.execute("rollback").await?;
        pool.close().await;
        passed
    });
    contender.close().await;
    Ok(passed)
}

/// What opens a snapshot and keeps it.
fn snapshot(database: &Database) -> &'static [&'static str] {
    match database.kind() {
        "Postgres" => &[
            "begin isolation level repeatable read",
            "select count(*) from campanile.notification_deliveries",
        ],
        _ => &[
            "begin",
            "select count(*) from campanile_notification_deliveries",
        ],
    }
}

async fn portions(
    contender: &dyn Contender,
    place: &Place,
    database: &Database,
    (deliveries, portion): (usize, usize),
) -> Result<(Sample, Sample)> {
    let observer = Observer::of(place).await?;
    let first = rounds(contender, observer.as_ref()).await?;
    let mut last = first.clone();
    for _ in 1..deliveries / portion {
        host::queue(database, portion).await?;
        last = rounds(contender, observer.as_ref()).await?;
    }
    if let Some(observer) = observer {
        observer.close().await;
    }
    Ok((first, last))
}

/// Delivers what is queued, and gives how long a round took, and on Postgres how long its claim.
async fn rounds(contender: &dyn Contender, observer: Option<&Observer>) -> Result<Sample> {
    let before = claims(observer).await?;
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if contender.deliver(BATCH).await? == 0 {
            break;
        }
        times.push(began.elapsed());
    }
    let mut sample = percentiles(&mut times);
    if let (Some(before), Some(after)) = (before, claims(observer).await?) {
        let count = float((after.0 - before.0).max(1).unsigned_abs());
        sample.push((CLAIM, (after.1 - before.1) / count));
    }
    Ok(sample)
}

async fn claims(observer: Option<&Observer>) -> Result<Option<(i64, f64)>> {
    match observer {
        Some(observer) => observer.claims().await,
        None => Ok(None),
    }
}
