//! How long a host **compiles**: one with many events, and one with as many structs that derive serde's traits, and are read and
//! written as JSON.
//!
//! The dependencies are built first, and stay in `bench-compile` of the target folder. Cold means without anything of the host's
//! own; an edit changes one of its structs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::Result;
use crate::contenders::CAMPANILE;
use crate::measure::{SECONDS, Sample};
use crate::options::Options;
use crate::report::{Case, Samples};

const PLAIN: &str = "plain structs";

const SERDE: &str = "serde = { version = \"1\", features = [\"derive\"] }";

const HOST: &str = "campanile-bench-host";

pub(crate) async fn run(options: &Options) -> Result<Vec<Case>> {
    let events = options.form.of(300, 3);
    // To build the dependencies would take a test minutes.
    let commands: &[&str] = options.form.of(&["check", "build"], &["check"]);
    let folder = folder(options)?;
    let mut cases = Vec::new();
    for command in commands {
        let names = [PLAIN, CAMPANILE];
        let case =
            |step: &str| Samples::of(format!("{command} of {events} events, {step}"), &names);
        let (mut cold, mut edited) = (case("cold"), case("after an edit"));
        for name in names {
            let host = Host::write(&folder, name, events, 0)?;
            host.prepare(command).await?;
        }
        for round in 1..=options.rounds {
            edited.next_round();
            for name in cold.next_round() {
                let host = Host::write(&folder, name, events, 0)?;
                host.clean().await?;
                cold.record(name, host.time(command).await?);
                let host = Host::write(&folder, name, events, round)?;
                edited.record(name, host.time(command).await?);
            }
        }
        cases.extend([cold.end(), edited.end()]);
    }
    Ok(cases)
}

/// In the target folder, where it stays for the next run.
fn folder(options: &Options) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // The program is in `release` or `debug` of it.
    let beside = || options.program.parent()?.parent().map(Path::to_owned);
    let target = target
        .or_else(beside)
        .ok_or("the bench is in no target folder")?;
    Ok(std::path::absolute(target)?.join("bench-compile"))
}

/// The workspace.
fn root() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(own.join("..").canonicalize()?)
}

/// A package that is compiled.
struct Host {
    folder: PathBuf,
    target: PathBuf,
}

impl Host {
    fn write(folder: &Path, name: &str, events: usize, edits: u32) -> Result<Self> {
        let host = Self {
            folder: folder.join(name.replace(' ', "-")),
            target: folder.join("target"),
        };
        let source = host.folder.join("src");
        std::fs::create_dir_all(&source)?;
        let (manifest, code) = if name == PLAIN {
            (
                manifest(&format!("{SERDE}\nserde_json = \"1\"")),
                plain(events, edits),
            )
        } else {
            // A TOML string is written like one of JSON.
            let core = serde_json::to_string(&root()?.join("core"))?;
            let campanile = format!("campanile = {{ path = {core}, default-features = false }}");
            (
                manifest(&format!("{campanile}\n{SERDE}")),
                with_events(events, edits),
            )
        };
        // What did not change is not written, or cargo would take it for changed.
        write(&host.folder.join("Cargo.toml"), &manifest)?;
        write(&source.join("main.rs"), &code)?;
        Ok(host)
    }

    /// Builds the dependencies, in the versions that campanile itself is built with.
    async fn prepare(&self, command: &str) -> Result<()> {
        std::fs::copy(root()?.join("Cargo.lock"), self.folder.join("Cargo.lock"))?;
        self.cargo(command).await
    }

    async fn time(&self, command: &str) -> Result<Sample> {
        let began = Instant::now();
        self.cargo(command).await?;
        Ok(vec![(SECONDS, began.elapsed().as_secs_f64())])
    }

    async fn clean(&self) -> Result<()> {
        self.run(&["clean", "--package", HOST]).await
    }

    async fn cargo(&self, command: &str) -> Result<()> {
        self.run(&[command]).await
    }

    async fn run(&self, arguments: &[&str]) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = tokio::process::Command::new(cargo)
            .args(arguments)
            .args(["--offline", "--quiet"])
            .env("CARGO_TARGET_DIR", &self.target)
            .env_remove("RUSTFLAGS")
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "cargo {} failed in {}:\n{error}",
            arguments.join(" "),
            self.folder.display()
        )
        .into())
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(file).is_ok_and(|known| known == text) {
        return Ok(());
    }
    Ok(std::fs::write(file, text)?)
}

fn manifest(dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{HOST}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         [dependencies]\n{dependencies}\n\n[workspace]\n"
    )
}

/// A field of the first struct, which each edit calls otherwise.
fn edited_field(number: usize, edits: u32) -> String {
    if number == 0 {
        format!("    pub edited_{edits}: String,\n")
    } else {
        String::new()
    }
}

const FIELDS: &str = "    pub number: String,\n    pub payer: String,\n    pub amount: i64,\n";

/// What nobody calls has no machine code: without the table, `build` would do no more than `check`.
const USED: &str = "\
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Result, Value};

fn used<T: Serialize + DeserializeOwned>(value: Value) -> Result<Value> {
    serde_json::to_value(serde_json::from_value::<T>(value)?)
}

fn main() {
    std::hint::black_box(USED);
}

static USED: &[fn(Value) -> Result<Value>] = &[
";

fn plain(events: usize, edits: u32) -> String {
    let mut code = USED.to_owned();
    for number in 0..events {
        let _ = writeln!(code, "    used::<InvoicePaid{number}>,");
    }
    code += "];\n";
    for number in 0..events {
        let edited = edited_field(number, edits);
        let _ = write!(
            code,
            "\n/// Invoice {number} was paid.\n#[derive(Serialize, Deserialize)]\npub struct InvoicePaid{number} {{\n{FIELDS}{edited}}}\n"
        );
    }
    code
}

fn with_events(events: usize, edits: u32) -> String {
    let mut code = "use campanile::channel::{EMAIL, INBOX};\nuse campanile::notifiable_event;\n\nfn main() {}\n".to_owned();
    for number in 0..events {
        let edited = edited_field(number, edits);
        let _ = write!(
            code,
            "
/// Invoice {number} was paid.
#[notifiable_event(
    \"bench.invoice.paid_{number}\",
    category = \"bench\",
    dedup(window = \"60s\", by(subject, amount)),
    channels(
        INBOX(
            title = \"Invoice {{{{ number }}}} was paid\",
            body = \"{{{{ payer }}}} paid {{{{ amount }}}} for invoice {{{{ number }}}}.\",
        ),
        EMAIL(
            subject = \"Invoice {{{{ number }}}} was paid\",
            html = \"<p><b>{{{{ payer }}}}</b> paid {{{{ amount }}}} for invoice {{{{ number }}}}.</p>\",
        ),
    )
)]
pub struct InvoicePaid{number} {{
{FIELDS}{edited}}}
"
        );
    }
    code
}
