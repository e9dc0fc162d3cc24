//! Workers that **drain** a queue of deliveries.

use std::time::Instant;

use campanile::database::each_database;

use super::Run;
use crate::contenders::{self, ALL, BY_HAND};
use crate::measure::{RATE, float};
use crate::report::{Case, Samples};
use crate::{Result, child, host, seed};

/// How many deliveries a call takes, with how many tasks, in how many processes.
struct Setting {
    batch: usize,
    tasks: usize,
    processes: usize,
}

const fn setting(batch: usize, tasks: usize, processes: usize) -> Setting {
    Setting {
        batch,
        tasks,
        processes,
    }
}

const FULL: [Setting; 12] = [
    setting(1, 1, 1),
    setting(1, 2, 1),
    setting(1, 4, 1),
    setting(1, 2, 2),
    setting(10, 1, 1),
    setting(10, 2, 1),
    setting(10, 4, 1),
    setting(10, 2, 2),
    setting(100, 1, 1),
    setting(100, 2, 1),
    setting(100, 4, 1),
    setting(100, 2, 2),
];

const QUICK: [Setting; 2] = [setting(10, 2, 1), setting(100, 1, 2)];

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let settings: &[Setting] = run.of(&FULL, &QUICK);
    let mut cases = Vec::new();
    for setting in settings {
        let deliveries = run.of(if setting.batch == 1 { 10_000 } else { 50_000 }, 100);
        let name = format!(
            "{deliveries} deliveries, batch {}, {} task(s), {} process(es)",
            setting.batch, setting.tasks, setting.processes
        );
        let mut samples = Samples::of(name, &ALL);
        for _ in 0..run.options.rounds {
            for name in samples.next_round() {
                let rate = drain(run, name, setting, deliveries / part(name)).await?;
                samples.record(name, vec![(RATE, rate)]);
            }
        }
        cases.push(samples.end());
    }
    Ok(cases)
}

/// One by one takes long, and a fifth of the deliveries say as much.
fn part(name: &str) -> usize {
    if name == BY_HAND { 5 } else { 1 }
}

async fn drain(run: &Run<'_>, name: &str, setting: &Setting, deliveries: usize) -> Result<f64> {
    let place = run.stage.place().await?;
    let database = place.open().await?;
    host::queue(&database, deliveries).await?;
    run.settle(&database).await?;
    let Setting {
        batch,
        tasks,
        processes,
    } = *setting;
    let contender = contenders::open(name, &place).await?;
    let took = if processes == 1 {
        let began = Instant::now();
        contender.drain(tasks, batch).await?;
        began.elapsed()
    } else {
        child::drain(run.options, name, &place, (processes, tasks, batch)).await?
    };
    let delivered = "select count(*) from {campanile}notification_deliveries as delivery \
        join {campanile}notification_attempts as attempt on attempt.delivery_id = delivery.id \
        where delivery.state = 'delivered' and attempt.attempt = 1";
    let delivered = seed::number(&database, delivered).await?;
    if usize::try_from(delivered)? != deliveries {
        return Err(format!("`{name}` delivered {delivered} of {deliveries}").into());
    }
    contender.close().await;
    each_database!(&database, |pool| pool.close().await);
    run.stage.clear(place).await?;
    Ok(float(deliveries as u64) / took.as_secs_f64())
}
