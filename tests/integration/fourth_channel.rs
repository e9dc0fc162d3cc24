//! A fourth channel is one crate and one line: `use campanile_pigeon as _;`. No file of core knows it.

use campanile::NotifiableEvent as _;
use campanile::preferences::Choice;
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};

both_databases! {
    async fn a_fourth_channel_is_planned_rendered_delivered_and_muted_like_any_other(app: App) {
        let notice = |subject: &str| {
            PigeonExpected { title: "Noon".into(), text: "Expect me".into() }.about(subject).to(["u_ada"])
        };
        assert_eq!(app.dispatcher.dispatch(notice("a")).await.unwrap().sent, 2);
        assert_eq!(app.pigeons.arrived(), [("u_ada".to_owned(), "Expect me".to_owned())]);
        app.choose("u_ada", "loft", "pigeon", Choice::Off).await;
        let report = app.dispatcher.dispatch(notice("b")).await.unwrap();
        assert_eq!((report.sent, report.suppressed_by_prefs), (1, 1));
        assert_eq!(app.pigeons.arrived().len(), 1);
    }
}

#[test]
fn no_source_of_core_names_a_channel_outside_of_its_declaration() {
    let core = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut folders = vec![core];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests are at the end of a file.
            let text = text.split("#[cfg(test)]\nmod").next().unwrap();
            seen += 1;
            for (number, line) in text.lines().enumerate() {
                // The declarations, their documentation and the examples in comments may name it; other code may not.
                let is_code = !line.trim_start().starts_with("//");
                let is_vocabulary = path.ends_with("channel/mod.rs");
                for name in ["inbox", "email", "push\"", "pigeon", "notifications "] {
                    assert!(
                        !(is_code && !is_vocabulary && line.to_lowercase().contains(name)),
                        "{}:{}: {line}",
                        path.display(),
                        number + 1
                    );
                }
            }
        }
    }
    assert!(seen > 20);
}
