//! **One** recipient, an item and a remote delivery, with many callers side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Field, Run};
use crate::Result;
use crate::contenders::{ALL, Contender};
use crate::host::Job;
use crate::measure::{CLIENT_CPU, RATE, SERVER_CPU, Sample, float, percentiles, processor};
use crate::report::{Case, Samples};
use crate::seed::{self, USERS};

/// Which way in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Enqueue,
    Dispatch,
    InTransaction,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Dispatch => "dispatch",
            Self::InTransaction => "in a transaction",
        }
    }
}

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let field = Field::apart(&run.stage, &ALL).await?;
    let callers: &[usize] = run.of(&[1, 8, 32, 128], &[1, 8]);
    let mut cases = Vec::new();
    for way in [Way::Enqueue, Way::Dispatch] {
        for callers in callers {
            cases.push(case(run, &field, way, *callers, "").await?);
        }
    }
    field.clear(&run.stage).await?;
    Ok(cases)
}

/// The same by so many callers of each contender.
pub(crate) async fn case(
    run: &Run<'_>,
    field: &Field,
    way: Way,
    callers: usize,
    more: &str,
) -> Result<Case> {
    let dispatches = run.of((callers * 250).clamp(1_000, 8_000), 30);
    let name = format!("{}, {callers} caller(s){more}", way.name());
    let mut samples = Samples::of(name, &ALL);
    for name in ALL {
        // The statements of a connection are prepared when they are first used.
        call(field.get(name)?.1, way, callers, dispatches / 10).await?;
    }
    for _ in 0..run.options.rounds {
        for name in samples.next_round() {
            let (_, contender) = field.get(name)?;
            let sample = measure(run, contender, way, callers, dispatches).await?;
            samples.record(name, sample);
        }
    }
    Ok(samples.end())
}

async fn measure(
    run: &Run<'_>,
    contender: &Arc<dyn Contender>,
    way: Way,
    callers: usize,
    dispatches: usize,
) -> Result<Sample> {
    let server = run.stage.process();
    let server_before = server.map(processor::of_server);
    let client_before = processor::of_this_process();
    let began = Instant::now();
    let mut times = call(contender, way, callers, dispatches).await?;
    let took = began.elapsed();
    let count = float(dispatches as u64);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count;
    let mut sample = vec![(RATE, count / took.as_secs_f64())];
    sample.extend(percentiles(&mut times));
    if let (Some(server), Some(before)) = (server, server_before) {
        let used = processor::of_server(server).saturating_sub(before);
        sample.push((SERVER_CPU, each(used)));
    }
    let used = processor::of_this_process().saturating_sub(client_before);
    sample.push((CLIENT_CPU, each(used)));
    Ok(sample)
}

/// How long each call took.
async fn call(
    contender: &Arc<dyn Contender>,
    way: Way,
    callers: usize,
    dispatches: usize,
) -> Result<Vec<Duration>> {
    let taken = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (contender, taken) = (Arc::clone(contender), Arc::clone(&taken));
        tasks.spawn(async move {
            let mut times = Vec::new();
            while taken.fetch_add(1, Ordering::Relaxed) < dispatches {
                let job = next_job();
                let began = Instant::now();
                match way {
                    Way::Enqueue => contender.enqueue(&job).await?,
                    Way::Dispatch => contender.dispatch(&job).await?,
                    Way::InTransaction => contender.enqueue_in(&job).await?,
                }
                times.push(began.elapsed());
            }
            Result::Ok(times)
        });
    }
    let mut times = Vec::with_capacity(dispatches);
    while let Some(task) = tasks.join_next().await {
        times.extend(task??);
    }
    Ok(times)
}

/// Each about another invoice, so that none is a repeat.
fn next_job() -> Job {
    let number = next_number();
    Job::to(format!("i_{number}"), vec![seed::user(number % USERS)])
}

pub(crate) fn next_number() -> usize {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
