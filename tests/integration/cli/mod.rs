//! The command line for operations, embedded in a host: the real binary, on SQLite and on Postgres.

mod reference;
mod embedding;
mod dispatching;
mod operating;
mod refusals;
mod working;
mod doctor;

use std::ffi::OsStr;
use std::process::Stdio;

use campanile::operate::DeliveryFilter;
use campanile_tests::{App, TestDatabase};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The exit code and output of a command.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    /// The output, if the command succeeded.
    #[track_caller]
    fn text(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        &self.out
    }

    /// The output as JSON, if the command succeeded.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// The error message, if it exited with this code without an answer.
    #[track_caller]
    fn refusal(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        &self.err
    }
}

/// The app of the tests on this database.
fn command(url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile-app"));
    command
        .args(["--database", url])
        .env_remove("CAMPANILE_EMAIL_FROM")
        .env_remove("CAMPANILE_EMAIL_SENDER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run_on(url: &str, arguments: &[impl AsRef<OsStr>]) -> Ended {
    ended(command(url).args(arguments)).await
}

/// Runs a line of words as a command.
async fn run(database: &TestDatabase, line: &str) -> Ended {
    let words: Vec<_> = line.split(' ').collect();
    run_on(&database.url, &words).await
}

async fn ended(command: &mut Command) -> Ended {
    given(command, b"").await
}

/// Runs a command with this standard input.
async fn given(command: &mut Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input may have ended.
    let _ = stdin.write_all(input).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The ids of all deliveries, newest first.
async fn ids(app: &App) -> Vec<String> {
    let all = app
        .dispatcher
        .operations()
        .deliveries(DeliveryFilter::default())
        .await
        .unwrap();
    all.iter().map(|delivery| delivery.id.to_string()).collect()
}
