//! A process of a scenario: started, killed, stopped, asked to exit.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A process. It is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.unwrap();
        let mut rest = Vec::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            rest.push(line);
        }
        rest
    }

    /// The next line that it writes.
    pub(crate) async fn line(&mut self) -> String {
        let line = self.lines.next_line().await.unwrap();
        line.expect("the process is still running")
    }

    /// Sends a signal, `STOP` for example.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.child.id().expect("the process runs").to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .await;
        assert!(sent.unwrap().success());
    }

    /// Asks it to exit, and waits until it has exited cleanly.
    pub(crate) async fn terminate(self) {
        self.signal("TERM").await;
        self.ended().await;
    }

    /// Asks a worker to exit, and waits until it has confirmed that.
    pub(crate) async fn tell_to_end(&mut self) {
        self.signal("TERM").await;
        assert_eq!(self.line().await, "told to end");
    }

    /// Waits until it has exited cleanly.
    pub(crate) async fn ended(mut self) {
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "it exits cleanly: {status}");
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}
