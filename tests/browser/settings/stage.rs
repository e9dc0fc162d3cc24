//! The stage: a host, its settings page in a browser, and the actions and expectations of a user.

use campanile_tests::Kind;
use campanile_tests::database::run;
use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::json;

use crate::host::Host;
use crate::page::{Page, stage_of_a_page};

pub(crate) const ADA: &str = "u_ada";

/// The maximum number of tab stops on the way to a switch.
const MAX_STOPS: usize = 40;

pub(crate) struct Stage {
    pub(crate) host: Host,
    page: Page,
    script: Script,
}

stage_of_a_page!(Stage);

/// Whether the page's script may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    Runs,
    IsOff,
}

/// Runs a test as Ada on her settings page.
pub(crate) fn play(script: Script, story: impl AsyncFnOnce(&mut Stage)) {
    run(Kind::Sqlite, async |database| {
        let mut stage = Stage {
            host: Host::start(database).await,
            page: Page::open().await,
            script,
        };
        stage.let_run(script).await;
        let url = format!("http://{}/", stage.host.address);
        let session = json!({ "name": "session", "value": ADA, "url": url });
        stage.browser.devtools("Network.setCookie", session).await;
        stage.go("/notifications/settings").await;
        if script == Script::Runs {
            stage
                .expect("document.documentElement.dataset.ready", "true")
                .await;
        }
        story(&mut stage).await;
    });
}

impl Stage {
    pub(crate) async fn go(&self, path: &str) {
        let url = format!("http://{}{path}", self.host.address);
        self.browser.client.goto(&url).await.unwrap();
    }

    async fn let_run(&self, script: Script) {
        let is_off = json!({ "value": script == Script::IsOff });
        let command = "Emulation.setScriptExecutionDisabled";
        self.browser.devtools(command, is_off).await;
    }

    /// Clicks the switch with this name.
    pub(crate) async fn click(&self, name: &str) {
        let selector = selector(name);
        let button = self.browser.client.find(Locator::Css(&selector)).await;
        button.unwrap().click().await.unwrap();
    }

    /// Waits until the switch with this name has this position and this note below it.
    pub(crate) async fn expect_switch(&self, name: &str, on: bool, note: &str) {
        let expression = format!(
            "(() => {{ const it = document.querySelector(\"{}\"); \
             return [it.ariaChecked, it.form.querySelector('.note').textContent]; }})()",
            selector(name)
        );
        self.expect(&expression, json!([on.to_string(), note]))
            .await;
    }

    /// Waits until the status of the page has this text.
    pub(crate) async fn expect_said(&self, text: &str) {
        self.expect("document.getElementById('status').textContent", text)
            .await;
    }

    pub(crate) async fn expect_focus(&self, name: &str) {
        self.expect("document.activeElement.ariaLabel", name).await;
    }

    /// Checks which switches are off on the server, as `category.channel`.
    pub(crate) async fn expect_off(&self, cells: &[&str]) {
        let preferences = self.host.app.dispatcher.preferences_of(ADA).unwrap();
        let mut off = Vec::new();
        for row in preferences.matrix().await.unwrap().categories {
            let cells = row.channels.iter().filter(|cell| !cell.enabled);
            off.extend(cells.map(|cell| format!("{}.{}", row.category, cell.channel)));
        }
        assert_eq!(off, cells);
    }

    /// Presses Tab until the switch with this name has the focus.
    pub(crate) async fn tab_to(&self, name: &str) {
        for _ in 0..MAX_STOPS {
            self.browser.press(&[Key::Tab]).await;
            if self.browser.eval("document.activeElement.ariaLabel").await == name {
                let outline = "getComputedStyle(document.activeElement).outlineStyle";
                self.expect(outline, "solid").await;
                return;
            }
        }
        panic!("{name} is not reached with Tab");
    }

    /// Checks a state in light and in dark: axe finds nothing, and nothing overflows. Takes a screenshot of each.
    pub(crate) async fn look(&self, name: &str) {
        self.expect_no_overflow("[...document.querySelectorAll('body *')].filter((element) => !element.closest('.unseen, thead, .status:empty'))").await;
        // axe is a script itself; the page's own script does not start now.
        self.let_run(Script::Runs).await;
        self.look_in_light_and_dark(&format!("settings-{name}"))
            .await;
        self.let_run(self.script).await;
    }
}

fn selector(name: &str) -> String {
    format!("[role=switch][aria-label='{name}']")
}
