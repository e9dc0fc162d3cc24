//! The **output**: an answer, printed for people or as JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::terminal::{escaped, escaped_json};

/// How a command answers: for people, or with `--json` as JSON. In the host's command line it is
/// `#[command(flatten)] output: campanile_cli::Output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
#[non_exhaustive]
pub struct Output {
    /// Answer as JSON, keys in camelCase, times in RFC 3339
    #[arg(long, global = true)]
    pub json: bool,
}

/// The result of a command that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "it decides the exit code"]
pub enum Ended {
    /// It succeeded.
    Well,
    /// The doctor found a problem, or nothing was changed because `--yes` was missing.
    WithProblems,
}

impl From<Ended> for ExitCode {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Well => Self::SUCCESS,
            Ended::WithProblems => Self::FAILURE,
        }
    }
}

/// The answer of a command.
pub(crate) struct Answer {
    text: String,
    json: serde_json::Value,
    ended: Ended,
}

impl Answer {
    pub(crate) fn new(text: impl Into<String>, json: &impl Serialize) -> Self {
        Self {
            text: text.into(),
            json: serde_json::to_value(json).expect("an answer can be written as JSON"),
            ended: Ended::Well,
        }
    }

    pub(crate) fn ended(self, ended: Ended) -> Self {
        Self { ended, ..self }
    }
}

/// Prints answers where the host wants them.
pub(crate) struct Printer<'a> {
    out: &'a mut (dyn Write + Send),
    output: Output,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(out: &'a mut (dyn Write + Send), output: Output) -> Self {
        Self { out, output }
    }

    /// Prints a complete answer at once.
    pub(crate) fn answer(&mut self, answer: &Answer) -> io::Result<Ended> {
        let text = if self.output.json {
            escaped_json(&format!("{:#}", answer.json))
        } else {
            escaped(&answer.text)
        };
        self.line(text.trim_end())?;
        Ok(answer.ended)
    }

    /// Prints a step of a long-running command: one line, also as JSON.
    pub(crate) fn step(&mut self, answer: &Answer) -> io::Result<()> {
        if self.output.json {
            self.line(&escaped_json(&answer.json.to_string()))
        } else {
            self.line(&escaped(&answer.text))
        }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }
}
