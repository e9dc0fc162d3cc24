//! Each work once in its small form, on both databases, so that the bench never rots. What the figures are is not looked at.

use campanile_bench::{Form, Kind, Options, Report, Work, run_works};

fn report(works: &[Work], databases: &[Kind]) -> Report {
    let mut options = Options::new(Form::Quick, env!("CARGO_BIN_EXE_campanile-bench").into());
    options.works.retain(|work| works.contains(work));
    options.databases = databases.to_vec();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let report = runtime.block_on(run_works(&options, |_| Ok(())));
    runtime.shutdown_background();
    report.expect("there is a database")
}

fn assert_figures(report: &Report, sections: usize) {
    assert_eq!(report.failure(), None);
    assert_eq!(report.sections.len(), sections);
    for case in report.sections.iter().flat_map(|section| &section.cases) {
        assert!(!case.figures.is_empty(), "{}", case.name);
        let mut ratios = 0;
        for row in &case.figures {
            assert!(!row.contenders.is_empty(), "{}: {}", case.name, row.name);
            for figures in &row.contenders {
                assert!(
                    figures.spread.median.is_finite(),
                    "{}: {}",
                    case.name,
                    row.name
                );
            }
            ratios += row.ratios.len();
        }
        assert!(ratios > 0, "{}", case.name);
    }
    let json: serde_json::Value =
        serde_json::from_str(&report.json().expect("it is JSON")).expect("it is JSON");
    let written = json["sections"].as_array().map(Vec::len);
    assert_eq!(written, Some(sections));
    let markdown = report.markdown();
    for case in report.sections.iter().flat_map(|section| &section.cases) {
        assert!(
            markdown.contains(&format!("| {} |", case.name)),
            "{markdown}"
        );
    }
}

const ON_DATABASES: [Work; 6] = [
    Work::One,
    Work::FanOut,
    Work::Rows,
    Work::Drain,
    Work::Snapshot,
    Work::Transaction,
];

#[test]
fn each_work_gives_figures_on_sqlite() {
    assert_figures(&report(&ON_DATABASES, &[Kind::Sqlite]), ON_DATABASES.len());
}

#[test]
fn each_work_gives_figures_on_postgres() {
    assert_figures(
        &report(&ON_DATABASES, &[Kind::Postgres]),
        ON_DATABASES.len(),
    );
}

#[test]
fn a_host_with_events_and_one_with_plain_structs_compile() {
    assert_figures(&report(&[Work::Compile], &[]), 1);
}
