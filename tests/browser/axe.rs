//! Runs axe-core, which checks a page for accessibility problems.

use std::path::Path;

use campanile_tests::browser::Browser;
use serde_json::Value;

/// The version with which the pages pass.
const VERSION: &str = "4.14.1";

/// The text of its script, from npm.
pub(crate) struct Axe(String);

impl Axe {
    pub(crate) fn find() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let folder = target.join("axe-core");
        let file = folder.join("node_modules/axe-core/axe.min.js");
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| {
            panic!(
                "no axe-core here ({error}): npm install --prefix {} axe-core@{VERSION}",
                folder.display()
            )
        });
        Self(text)
    }

    pub(crate) async fn expect_nothing_wrong(&self, browser: &Browser, state: &str) {
        let is_there = browser.eval("Boolean(window.axe)").await;
        if is_there != true {
            browser.client.execute(&self.0, Vec::new()).await.unwrap();
        }
        let run = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(\
            ({ violations, passes }) => done(passes.length ? violations.map(({ id, nodes }) => \
            [id, ...nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`)]) : 'axe looked at nothing'),\
            (error) => done(String(error)));";
        let found = browser.client.execute_async(run, Vec::new()).await.unwrap();
        assert_eq!(found, Value::Array(Vec::new()), "{state}: {found:#}");
    }
}
