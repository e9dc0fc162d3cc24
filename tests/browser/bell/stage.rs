//! The stage: a host, its page in a browser, and the actions and expectations of a user.

use campanile_tests::database::run;
use campanile_tests::{Kind, TestDatabase};
use serde_json::Value;

use crate::host::Host;
use crate::page::{Page, stage_of_a_page};

/// Names that every expression may use.
const WORDS: &str = "const bell = document.querySelector('campanile-bell'); \
    const root = bell.shadowRoot; \
    const one = (selector) => root.querySelector(selector); \
    const all = (selector) => [...root.querySelectorAll(selector)]; \
    const focused = () => root.activeElement ?? document.activeElement; \
    const titles = () => all('.item .title').map((it) => it.textContent);";

pub(crate) const ADA: &str = "u_ada";

/// A name of this machine that is not `localhost`: over plain http it is not a secure context.
const PLAIN_NAME: &str = "app.test";

pub(crate) struct Stage {
    pub(crate) host: Host,
    page: Page,
    /// The name under which the browser knows the host.
    name: &'static str,
}

stage_of_a_page!(Stage);

/// Runs a test as Ada, on a database of its own. `before` prepares it before the page is opened.
pub(crate) fn play(before: impl AsyncFnOnce(&Host), story: impl AsyncFnOnce(&mut Stage)) {
    run(Kind::Sqlite, async |database| {
        let mut stage = Stage::open(database, "127.0.0.1", before).await;
        story(&mut stage).await;
    });
}

/// The same over plain http, by a name that is not a loopback address.
pub(crate) fn play_over_plain_http(story: impl AsyncFnOnce(&mut Stage)) {
    run(Kind::Sqlite, async |database| {
        let mut stage = Stage::open(database, PLAIN_NAME, async |_: &Host| {}).await;
        story(&mut stage).await;
    });
}

/// The same, with so many notes in her inbox: `1` is the oldest.
pub(crate) fn play_with(notes: u32, story: impl AsyncFnOnce(&mut Stage)) {
    let before = async |host: &Host| {
        for number in 1..=notes {
            host.tell(ADA, &format!("Note {number}")).await;
        }
    };
    play(before, story);
}

impl Stage {
    async fn open(
        database: TestDatabase,
        name: &'static str,
        before: impl AsyncFnOnce(&Host),
    ) -> Self {
        let host = Host::start(database).await;
        before(&host).await;
        let names = format!("--host-resolver-rules=MAP {PLAIN_NAME} 127.0.0.1");
        let stage = Self {
            host,
            page: Page::open_with(&[&names]).await,
            name,
        };
        stage.go(&format!("/as/{ADA}")).await;
        stage
    }

    /// Goes to a page of the host's.
    pub(crate) async fn go(&self, path: &str) {
        let url = format!("http://{}:{}{path}", self.name, self.host.address.port());
        self.browser.client.goto(&url).await.unwrap();
        let defined = "Boolean(document.querySelector('campanile-bell')?.shadowRoot)";
        self.browser.expect(defined, true).await;
    }

    pub(crate) async fn eval(&self, expression: &str) -> Value {
        self.browser.eval(&within(expression)).await
    }

    /// Waits until an expression has this value.
    pub(crate) async fn expect(&self, expression: &str, expected: impl Into<Value>) {
        self.browser.expect(&within(expression), expected).await;
    }

    /// Waits until the list has these titles.
    pub(crate) async fn expect_titles(&self, titles: &[&str]) {
        self.expect("titles()", titles.to_vec()).await;
    }

    /// Waits until the button has this name.
    pub(crate) async fn expect_bell(&self, name: &str) {
        self.expect("one('.bell').getAttribute('aria-label')", name)
            .await;
    }

    pub(crate) async fn expect_focus(&self, selector: &str) {
        self.expect(&format!("focused().matches(\"{selector}\")"), true)
            .await;
    }

    /// Clicks an element of the bell's.
    pub(crate) async fn click(&self, selector: &str) {
        let (x, y) = self.point_of(selector).await;
        self.browser.click_at(x, y).await;
    }

    /// The position of an element of the bell's. Nothing may cover it but the title of a note, which covers its row.
    pub(crate) async fn point_of(&self, selector: &str) -> (f64, f64) {
        self.expect(&format!("Boolean(one(\"{selector}\"))"), true)
            .await;
        let find = format!(
            "(() => {{ const it = one(\"{selector}\"); it.scrollIntoView({{ block: 'nearest' }}); \
             const at = it.getBoundingClientRect(); const [x, y] = [at.x + at.width / 2, at.y + at.height / 2]; \
             const top = root.elementFromPoint(x, y); const covers = top?.matches('.title') && it.closest('.item')?.contains(top); return it.contains(top) || covers ? [x, y] : top?.outerHTML ?? null; }})()"
        );
        let point = self.eval(&find).await;
        let (Some(x), Some(y)) = (point[0].as_f64(), point[1].as_f64()) else {
            panic!("{selector} is behind {point}");
        };
        (x, y)
    }

    /// Clicks a control of the note with this title.
    pub(crate) async fn click_at_note(&self, title: &str, control: &str) {
        let id = format!(
            "all('.item').find((it) => it.querySelector('.title').textContent === '{title}').dataset.id"
        );
        let id = self.eval(&id).await;
        self.click(&format!("[data-id='{}'] {control}", id.as_str().unwrap()))
            .await;
    }

    /// Opens the list with the mouse.
    pub(crate) async fn open_list(&self) {
        self.click(".bell").await;
        self.expect("bell.open", true).await;
    }

    /// Checks a state in light and in dark: axe finds nothing, and nothing overflows. Takes a screenshot of each.
    pub(crate) async fn look(&self, name: &str) {
        self.page
            .expect_no_overflow(&within(
                "all('.panel, .panel *').filter((element) => !element.matches('.unseen'))",
            ))
            .await;
        self.look_in_light_and_dark(name).await;
    }
}

fn within(expression: &str) -> String {
    format!("(() => {{ {WORDS} return {expression}; }})()")
}
