//! A worker in its own process.

use campanile::NotifiableEvent as _;
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, both_databases};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::command;

/// A running worker, and the lines that it prints.
pub(crate) struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts a worker, and waits until it works.
    pub(crate) async fn start(app: &App, more: &[&str]) -> (Self, String) {
        let mut command = command(&app.database.url);
        command
            .args(["worker", "--poll-interval", "20ms"])
            .args(more);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut worker = Self { child, lines };
        let first = worker.line().await;
        (worker, first)
    }

    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap_or_default()
    }

    async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let killed = Command::new("kill").args([signal, &id]).status().await;
        assert!(killed.unwrap().success());
    }

    /// Asks it to stop, and returns the lines that it still prints.
    pub(crate) async fn stop(mut self, signal: &str) -> Vec<String> {
        self.signal(signal).await;
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        assert!(self.child.wait().await.unwrap().success());
        rest
    }
}

/// How many deliveries were sent.
async fn delivered(app: &App) -> i64 {
    let count = "select count(*) from {campanile}notification_deliveries where state = 'delivered'";
    app.database.number(count).await
}

both_databases! {
    async fn a_worker_delivers_until_it_is_asked_to_stop(app: App) {
        let (worker, first) = Worker::start(&app, &[]).await;
        assert_eq!(first, "worker: delivers email, pigeon, push until Ctrl-C or SIGTERM");
        let _ = app.dispatcher.enqueue(PigeonAlone { text: "x".into() }.to(["u_ada", "u_bob"])).await.unwrap();
        app.eventually(async || delivered(&app).await == 2).await;
        let rest = worker.stop("-TERM").await;
        assert_eq!(rest.last().unwrap(), "worker: stopped");
    }

    async fn ctrl_c_also_stops_a_worker_and_its_steps_are_printed_as_json(app: App) {
        let (worker, first) = Worker::start(&app, &["--json"]).await;
        let first: serde_json::Value = serde_json::from_str(&first).unwrap();
        assert_eq!(first["channels"], serde_json::json!(["email", "pigeon", "push"]));
        let rest = worker.stop("-INT").await;
        assert_eq!(rest, [r#"{"worker":"stopping"}"#, r#"{"worker":"stopped"}"#]);
    }
}
