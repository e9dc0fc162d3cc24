//! The reference page names every environment variable that is read, and every command.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

const REFERENCE: &str = include_str!("../../../docs/reference.md");

#[derive(clap::Parser)]
struct Cli {
    #[command(subcommand)]
    _command: campanile_cli::Command,
}

fn sources(folder: &Path, read: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, read);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// The string literals that are names of campanile's environment variables.
fn variables(source: &str) -> impl Iterator<Item = String> + '_ {
    source.split("\"CAMPANILE_").skip(1).filter_map(|rest| {
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_uppercase() || *c == '_')
            .collect();
        // A complete literal, and not the beginning of a name.
        (!name.is_empty() && rest[name.len()..].starts_with('"'))
            .then(|| format!("CAMPANILE_{name}"))
    })
}

#[test]
fn the_reference_names_every_environment_variable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for folder in [
        "core/src",
        "channels",
        "cli/src",
        "web/src",
        "inspector/src",
        "tests",
    ] {
        sources(&root.join(folder), &mut |source| {
            found.extend(variables(source));
        });
    }
    assert!(found.len() > 15, "{found:?}");
    // Used only between tests and the programs that they start.
    for name in ["CAMPANILE_TEST_OUTSIDE", "CAMPANILE_TEST_PACE"] {
        assert!(found.remove(name), "{name} is not read any more");
    }
    let missing: Vec<_> = found
        .iter()
        .filter(|name| !REFERENCE.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/reference.md lacks {missing:?}");
}

/// A command with its subcommands and options, in the form of the page.
fn named(command: &clap::Command, path: &str, missing: &mut Vec<String>) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        let path = path.trim();
        if sub.has_subcommands() {
            named(sub, path, missing);
            continue;
        }
        if !REFERENCE.contains(&format!("`{path}")) {
            missing.push(path.to_owned());
        }
        for option in sub.get_arguments().filter_map(clap::Arg::get_long) {
            if !matches!(option, "help" | "json") && !REFERENCE.contains(&format!("--{option}")) {
                missing.push(format!("{path} --{option}"));
            }
        }
    }
}

#[test]
fn the_reference_names_every_command_and_option() {
    let mut missing = Vec::new();
    named(&Cli::command(), "", &mut missing);
    assert!(missing.is_empty(), "docs/reference.md lacks {missing:?}");
}

/// The metrics in the sources: each name with its kind and its labels.
fn figures(source: &str) -> BTreeSet<String> {
    let kinds = ["counter", "gauge", "histogram"];
    let made = kinds.into_iter().flat_map(|kind| {
        let call = format!("metrics::{kind}!(");
        let calls = source.split(&call).skip(1);
        let lines = calls.map(move |call| {
            let arguments = call.split(")\n").next().unwrap();
            let quoted: Vec<_> = arguments.split('"').skip(1).step_by(2).collect();
            // A label is before an arrow, its value after it.
            let labels = quoted[1..].iter().filter(|text| {
                let arrow = format!("\"{text}\" =>");
                arguments.contains(&arrow)
            });
            let labels: BTreeSet<_> = labels.copied().collect();
            format!("{} {kind} {labels:?}", quoted[0])
        });
        lines.collect::<Vec<_>>()
    });
    made.collect()
}

#[test]
fn the_reference_names_every_figure_with_its_kind_and_labels() {
    let table = REFERENCE
        .split("| metric | kind | labels |")
        .nth(1)
        .unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let promised = rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = cells[0].trim_matches(['|', ' ', '`']);
        let kind = cells[1].split(',').next().unwrap().trim();
        // The values of an outcome are after a colon.
        let labels = cells[2].split(": ").next().unwrap();
        let labels: BTreeSet<_> = labels.split('`').skip(1).step_by(2).collect();
        format!("{name} {kind} {labels:?}")
    });
    let promised: BTreeSet<_> = promised.collect();
    let made = figures(include_str!("../../../core/src/observe/telemetry.rs"));
    assert!(made.len() >= 9, "{made:?}");
    assert_eq!(promised, made);
}
