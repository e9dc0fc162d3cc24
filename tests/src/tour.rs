//! The inspector's **tour** in a process of its own, `campanile-tour`.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// An inspector that serves until this is dropped.
#[derive(Debug)]
pub struct Tour {
    /// The URL of its page, with the token if there is one.
    pub url: String,
    /// Killed when it is dropped.
    _process: Child,
}

impl Tour {
    /// Starts the program `env!("CARGO_BIN_EXE_campanile-tour")` with these arguments: a database, and `--token` where every
    /// call needs one.
    ///
    /// # Panics
    ///
    /// When it ends before it serves.
    pub async fn start(program: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program is built with the tests");
        let output = process.stdout.take().expect("it is piped");
        let line = BufReader::new(output).lines().next_line().await;
        Self {
            url: line
                .expect("it prints text")
                .expect("it serves, and prints where"),
            _process: process,
        }
    }
}
