//! The stage: an inspector in a process of its own, its page in a browser, and the actions and expectations of a user.

use campanile::Database;
use campanile::each_database;
use campanile_tests::tour::Tour;
use fantoccini::Locator;
use serde_json::json;
use tempfile::TempDir;

use crate::page::{Page, stage_of_a_page};

/// The inside of the bell.
pub(crate) const BELL: &str = "document.querySelector('campanile-bell').shadowRoot";

/// The inside of the frame with the settings page.
pub(crate) const SETTINGS: &str = "document.querySelector('#settings iframe').contentDocument";

/// The settings page's text for a locked switch.
pub(crate) const BILLING_CANNOT_BE_MUTED: &str = "Email cannot be turned off here, because it is critical: An invoice of your organization is past due";

pub(crate) struct Stage {
    page: Page,
    /// Where the tour keeps its data.
    database: String,
    tour: Tour,
    _folder: TempDir,
}

stage_of_a_page!(Stage);

impl Stage {
    /// Opens the page and waits until it is ready.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same, with a tour for which every call needs a token.
    pub(crate) async fn open_with_token() -> Self {
        Self::open_with(&["--token"]).await
    }

    async fn open_with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/tour.sqlite", folder.path().display());
        let arguments = [&[database.as_str()], more].concat();
        let program = env!("CARGO_BIN_EXE_campanile-tour");
        let tour = Tour::start(program, &arguments).await;
        let stage = Self {
            page: Page::open().await,
            database,
            tour,
            _folder: folder,
        };
        stage.browser.client.goto(&stage.tour.url).await.unwrap();
        stage.expect_ready().await;
        stage
    }

    pub(crate) async fn expect_ready(&self) {
        self.expect("document.documentElement.dataset.ready", "true")
            .await;
    }

    pub(crate) async fn click(&self, selector: &str) {
        let element = self.browser.client.find(Locator::Css(selector)).await;
        element
            .unwrap_or_else(|error| panic!("{selector}: {error}"))
            .click()
            .await
            .unwrap();
    }

    pub(crate) async fn choose(&self, event_type: &str) {
        self.click(&format!("#events input[value='{event_type}']"))
            .await;
    }

    /// Presses one of the buttons that fire, and waits for its report.
    pub(crate) async fn fire(&self, button: &str, [sent, deduped, suppressed]: [u32; 3]) {
        self.forget_result().await;
        self.click(button).await;
        self.expect_totals([sent, deduped, suppressed]).await;
    }

    pub(crate) async fn forget_result(&self) {
        self.browser
            .eval("document.getElementById('result-body').replaceChildren()")
            .await;
    }

    pub(crate) async fn expect_totals(&self, totals: [u32; 3]) {
        let expression = "['sent', 'deduped', 'suppressedByPrefs'].map((name) => \
             Number(document.querySelector(`[data-total=${name}]`)?.textContent ?? -1))";
        self.expect(expression, json!(totals)).await;
    }

    /// Waits until the report has this outcome for a recipient and channel.
    pub(crate) async fn expect_outcome(
        &self,
        user: &str,
        channel: &str,
        rule: &str,
        outcome: &str,
    ) {
        let line =
            format!("document.querySelector(\"[data-user='{user}'][data-channel='{channel}']\")");
        self.expect(
            &format!("{line}.querySelector('[data-rule]').dataset.rule"),
            rule,
        )
        .await;
        self.expect(
            &format!("{line}.querySelector('[data-outcome]').dataset.outcome"),
            outcome,
        )
        .await;
    }

    pub(crate) async fn expect_windows(&self, count: usize) {
        self.expect("document.querySelectorAll('#ledger .window').length", count)
            .await;
    }

    pub(crate) async fn expect_mails(&self, count: usize) {
        self.expect(
            "Number(document.getElementById('mail-count').textContent)",
            count,
        )
        .await;
    }

    pub(crate) async fn expect_unread(&self, count: usize) {
        self.expect(
            "Number(document.getElementById('unread').dataset.unread)",
            count,
        )
        .await;
    }

    /// How many items of the inbox are new, seen and read.
    pub(crate) async fn expect_stages(&self, counts: [usize; 3]) {
        let expression = "['new', 'seen', 'read'].map((stage) => \
             document.querySelectorAll(`#inbox [data-stage=${stage}]`).length)";
        self.expect(expression, json!(counts)).await;
    }

    /// Chooses a person.
    pub(crate) async fn meet(&self, user: &str) {
        let select = self.browser.client.find(Locator::Id("person")).await;
        select.unwrap().select_by_value(user).await.unwrap();
    }

    /// Clicks a switch of the settings page.
    pub(crate) async fn turn(&self, switch: &str) {
        self.expect_settings().await;
        let client = &self.browser.client;
        let frame = client.find(Locator::Css("#settings iframe")).await;
        frame.unwrap().enter_frame().await.unwrap();
        self.click(switch).await;
        client.enter_parent_frame().await.unwrap();
    }

    /// Waits until the settings page is ready.
    pub(crate) async fn expect_settings(&self) {
        let ready = format!("{SETTINGS}?.documentElement.dataset.ready");
        self.expect(&ready, "true").await;
    }

    pub(crate) async fn expect_status_of_settings(&self, text: &str) {
        let status = format!("{SETTINGS}.getElementById('status').textContent.trim()");
        self.expect(&status, text).await;
    }

    pub(crate) async fn release(&self) {
        self.click("#release-all").await;
        self.expect_windows(0).await;
    }

    /// Makes every waiting delivery due at once, so that the tour's own worker delivers it.
    pub(crate) async fn make_due(&self) {
        let database = Database::connect(&self.database).await.unwrap();
        let statement = database.sql(
            "update {campanile}notification_deliveries set run_at = {earlier(1)} where state = 'pending'",
        );
        each_database!(&database, |pool| {
            campanile::sqlx::query(statement)
                .execute(pool)
                .await
                .unwrap();
        });
    }
}
