//! The command line of the bench.

use std::path::PathBuf;
use std::process::ExitCode;

use campanile_bench::{Child, Failure, Form, Kind, Options, Report, Work, run_child, run_works};
use clap::Parser;

/// Measures campanile beside the raw limit of the database and a loop written by hand. Figures of a debug build mean nothing:
/// `cargo run --release -p campanile-bench`.
#[derive(Debug, Parser)]
struct Cli {
    /// Only these works
    #[arg(long, value_enum, num_args = 1.., value_delimiter = ',')]
    only: Vec<Work>,
    /// A short run that only shows that the bench works; its figures mean nothing
    #[arg(long)]
    quick: bool,
    /// How many rounds; in each of them every contender runs once. Default: 5, and 1 with `--quick`
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How many old rows exist when the work `rows` begins. Default: 100000 10000000
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    rows: Vec<u64>,
    /// Only this database. Default: both
    #[arg(long, value_enum)]
    database: Option<Kind>,
    /// Writes the report to this file as JSON, again after each work
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the report to this file as Markdown. Without it, it is printed
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    #[command(subcommand)]
    child: Option<Child>,
}

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let done = runtime.block_on(run(Cli::parse()));
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("campanile-bench: {error}");
    ExitCode::FAILURE
}

#[allow(clippy::print_stdout, reason = "the figures are what it is for")]
async fn run(cli: Cli) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    if let Some(child) = cli.child {
        if let Some(answer) = run_child(&child).await? {
            println!("{answer}");
        }
        return Ok(());
    }
    let form = if cli.quick { Form::Quick } else { Form::Full };
    let mut options = Options::new(form, program);
    if !cli.only.is_empty() {
        options.works = cli.only;
    }
    if !cli.rows.is_empty() {
        options.rows = cli.rows;
    }
    if let Some(kind) = cli.database {
        options.databases = vec![kind];
    }
    if let Some(rounds) = cli.rounds {
        options.rounds = rounds;
    }
    let write = |report: &Report| {
        if let Some(file) = &cli.json {
            std::fs::write(file, report.json()?)?;
        }
        if let Some(file) = &cli.markdown {
            std::fs::write(file, report.markdown())?;
        }
        Ok(())
    };
    let report = run_works(&options, write).await?;
    if cli.markdown.is_none() {
        print!("{}", report.markdown());
    }
    report
        .failure()
        .map_or(Ok(()), |failure| Err(failure.into()))
}
