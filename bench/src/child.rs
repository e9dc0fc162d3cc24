//! What is measured in a process of its own, and the processes of a fleet.

use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;

use crate::contenders::{self, Contender};
use crate::measure::server::Observer;
use crate::measure::{MEMORY, STATEMENTS, Sample, TIME, WAL, float, memory, millis};
use crate::stage::Place;
use crate::work::fanout;
use crate::{Result, options::Options};

/// What the bench starts itself as.
#[derive(Debug, Clone, Subcommand)]
#[command(hide = true)]
#[non_exhaustive]
pub enum Child {
    /// A dispatch to many recipients, alone in a process, so that its memory can be measured
    #[command(hide = true)]
    FanOut {
        /// The contender
        #[arg(long)]
        contender: String,
        /// Its database
        #[arg(long)]
        url: String,
        /// What is dispatched about
        #[arg(long)]
        subject: String,
        /// To how many
        #[arg(long)]
        recipients: usize,
    },
    /// A worker, until nothing is left
    #[command(hide = true)]
    Drain {
        /// The contender
        #[arg(long)]
        contender: String,
        /// Its database
        #[arg(long)]
        url: String,
        /// With how many tasks
        #[arg(long)]
        tasks: usize,
        /// How many deliveries a call takes
        #[arg(long)]
        batch: usize,
    },
}

/// What a dispatch to many recipients took.
#[derive(Debug, Serialize, Deserialize)]
struct FanOut {
    millis: f64,
    peak: u64,
    statements: Option<i64>,
    wal: Option<i64>,
}

/// Does what a child is for, and gives what it prints.
///
/// # Errors
///
/// When its database does not answer.
#[doc(hidden)]
pub async fn run_child(child: &Child) -> Result<Option<String>> {
    match child {
        Child::Drain {
            contender,
            url,
            tasks,
            batch,
        } => {
            let contender = contenders::open(contender, &Place::of_url(url)).await?;
            wait_for_the_start().await?;
            contender.drain(*tasks, *batch).await?;
            contender.close().await;
            Ok(None)
        }
        Child::FanOut {
            contender,
            url,
            subject,
            recipients,
        } => {
            let place = Place::of_url(url);
            let contender = contenders::open(contender, &place).await?;
            let done = dispatch_alone(&*contender, &place, subject, *recipients).await?;
            contender.close().await;
            Ok(Some(serde_json::to_string(&done)?))
        }
    }
}

async fn dispatch_alone(
    contender: &dyn Contender,
    place: &Place,
    subject: &str,
    recipients: usize,
) -> Result<FanOut> {
    let observer = Observer::of(place).await?;
    // The statements of a connection are prepared when they are first used.
    let warm_up = fanout::job(&format!("{subject}, to warm up"), 1);
    contender.enqueue(&warm_up).await?;
    let job = fanout::job(subject, recipients);
    let before = match &observer {
        Some(observer) => Some(observer.count().await?),
        None => None,
    };
    memory::reset_peak();
    let (in_use, began) = (memory::in_use(), Instant::now());
    contender.enqueue(&job).await?;
    let took = began.elapsed();
    let peak = memory::peak().saturating_sub(in_use);
    let mut done = FanOut {
        millis: millis(took),
        peak,
        statements: None,
        wal: None,
    };
    if let (Some(observer), Some(before)) = (observer, before) {
        let after = observer.count().await?;
        let statements = after.statements.zip(before.statements);
        done.statements = statements.map(|(after, before)| after - before);
        done.wal = Some(after.wal - before.wal);
        observer.close().await;
    }
    Ok(done)
}

/// Dispatches to many recipients in a process of its own.
pub(crate) async fn fan_out(
    options: &Options,
    contender: &str,
    place: &Place,
    subject: &str,
    recipients: usize,
) -> Result<Sample> {
    let output = tokio::process::Command::new(&options.program)
        .args(["fan-out", "--contender", contender, "--url", &place.url])
        .args([
            "--subject",
            subject,
            "--recipients",
            &recipients.to_string(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(format!("the process of `{contender}` ended with {}", output.status).into());
    }
    let done: FanOut = serde_json::from_slice(&output.stdout)?;
    let each = |bytes: i64| float(bytes.unsigned_abs()) / float(recipients as u64);
    let mut sample = vec![(TIME, done.millis)];
    sample.extend(
        done.statements
            .map(|count| (STATEMENTS, float(count.unsigned_abs()))),
    );
    sample.push((MEMORY, float(done.peak) / 1_048_576.0));
    sample.extend(done.wal.map(|bytes| (WAL, each(bytes))));
    Ok(sample)
}

/// Says that this worker is ready, and waits until it is told to begin.
#[allow(clippy::print_stdout, reason = "its parent reads it")]
async fn wait_for_the_start() -> Result<()> {
    println!("ready");
    let start = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    start.await??;
    Ok(())
}

/// Starts so many workers, and waits until all of them have nothing left to do. How long that took, once all were ready.
pub(crate) async fn drain(
    options: &Options,
    contender: &str,
    place: &Place,
    (processes, tasks, batch): (usize, usize, usize),
) -> Result<Duration> {
    let mut children = Vec::new();
    for _ in 0..processes {
        let mut child = tokio::process::Command::new(&options.program)
            .args(["drain", "--contender", contender, "--url", &place.url])
            .args(["--tasks", &tasks.to_string(), "--batch", &batch.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(output) = &mut child.stdout {
            // One line, and nothing after it.
            output.read_exact(&mut [0; "ready\n".len()]).await?;
        }
        children.push(child);
    }
    let began = Instant::now();
    for child in &mut children {
        // What is closed is a line that ends.
        drop(child.stdin.take());
    }
    for mut child in children {
        let status = child.wait().await?;
        if !status.success() {
            return Err(format!("a worker of `{contender}` ended with {status}").into());
        }
    }
    Ok(began.elapsed())
}
