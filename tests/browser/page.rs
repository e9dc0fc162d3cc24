//! A **page** in a browser: what every stage does with its own.

use std::path::PathBuf;

use campanile_tests::browser::Browser;
use fantoccini::key::Key;
use serde_json::Value;

use crate::axe::Axe;

pub(crate) struct Page {
    pub(crate) browser: Browser,
    axe: Axe,
}

impl Page {
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// In a browser with more arguments.
    pub(crate) async fn open_with(arguments: &[&str]) -> Self {
        Self {
            axe: Axe::find(),
            browser: Browser::start_with(arguments).await,
        }
    }

    /// Waits until an expression has this value.
    pub(crate) async fn expect(&self, expression: &str, expected: impl Into<Value>) {
        self.browser.expect(expression, expected).await;
    }

    /// Presses a key where the focus is.
    pub(crate) async fn press(&self, key: Key) {
        self.browser.press(&[key]).await;
    }

    /// Nothing overflows: neither the page nor an element of this list, an expression.
    pub(crate) async fn expect_no_overflow(&self, elements: &str) {
        let beyond = format!(
            "{elements}.filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5 \
             || element.getBoundingClientRect().left < -0.5).map((element) => element.tagName + '.' + element.className)"
        );
        self.expect(&beyond, Vec::<Value>::new()).await;
        let sideways =
            "document.documentElement.scrollWidth > document.documentElement.clientWidth";
        self.expect(sideways, false).await;
    }

    /// Checks a state in light and in dark: axe finds nothing. Takes a screenshot of each.
    pub(crate) async fn look_in_light_and_dark(&self, name: &str) {
        for scheme in ["light", "dark"] {
            self.browser
                .prefer(&[("prefers-color-scheme", scheme)])
                .await;
            self.picture(&format!("{name}-{scheme}")).await;
            self.expect_nothing_wrong(name).await;
        }
        self.browser.prefer(&[]).await;
    }

    /// axe finds nothing in this state.
    pub(crate) async fn expect_nothing_wrong(&self, name: &str) {
        self.axe.expect_nothing_wrong(&self.browser, name).await;
    }

    /// Saves a screenshot in the folder `CAMPANILE_PICTURES`, if it is set.
    pub(crate) async fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("CAMPANILE_PICTURES").map(PathBuf::from) {
            let picture = self.browser.client.screenshot().await.unwrap();
            std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// The end of a test: nothing unexpected is in the console.
    pub(crate) async fn expect_a_quiet_console(&self) {
        assert_eq!(self.browser.complaints().await, [""; 0]);
    }
}

/// Lets a stage do what its page does.
macro_rules! stage_of_a_page {
    ($stage:ty) => {
        impl std::ops::Deref for $stage {
            type Target = $crate::page::Page;

            fn deref(&self) -> &Self::Target {
                &self.page
            }
        }
    };
}
pub(crate) use stage_of_a_page;
