//! The example: a user is invited in a transaction, and the bell shows it.

use std::path::PathBuf;
use std::process::Stdio;

use fantoccini::Locator;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::page::{Page, stage_of_a_page};

/// The example in a process of its own, and its URL.
async fn start() -> (Child, String) {
    let target = std::env::current_exe().unwrap();
    let program: PathBuf = target.ancestors().nth(2).unwrap().join("examples/team");
    let mut app = Command::new(&program)
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("no example here ({error}): cargo build -p campanile-web --example team")
        });
    let mut lines = BufReader::new(app.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().unwrap();
    (app, url)
}

struct Person {
    page: Page,
}

stage_of_a_page!(Person);

impl Person {
    async fn sign_in(url: &str, name: &str) -> Self {
        let page = Page::open().await;
        page.browser.client.goto(url).await.unwrap();
        let person = Self { page };
        person.write("#name", name).await;
        person.click("form button").await;
        person
            .browser
            .expect("document.querySelector('header p')?.textContent", name)
            .await;
        // The sign-in page is a 401.
        person.browser.complaints().await;
        person
    }

    async fn find(&self, selector: &str) -> fantoccini::elements::Element {
        let found = self
            .browser
            .client
            .wait()
            .for_element(Locator::Css(selector))
            .await;
        found.unwrap_or_else(|error| panic!("{selector}: {error}"))
    }

    async fn write(&self, selector: &str, text: &str) {
        self.find(selector).await.send_keys(text).await.unwrap();
    }

    async fn click(&self, selector: &str) {
        self.find(selector).await.click().await.unwrap();
    }

    /// Waits until the bell has this name.
    async fn expect_bell(&self, name: &str) {
        let bell = "document.querySelector('campanile-bell').shadowRoot?.querySelector('.bell')?.getAttribute('aria-label')";
        self.browser.expect(bell, name).await;
    }
}

#[tokio::test]
async fn an_invited_user_sees_it_in_the_bell() {
    let (mut app, url) = start().await;
    let ada = Person::sign_in(&url, "Ada").await;
    let bob = Person::sign_in(&url, "Bob").await;
    bob.expect_bell("Notifications").await;

    ada.write("#name", "Bob").await;
    ada.click("#invite-title ~ form button").await;
    bob.expect_bell("Notifications, 1 unread").await;

    let role = "select[aria-label='Role of Bob'] option:nth-child(3)";
    ada.click(role).await;
    ada.click("button[aria-label='Change role of Bob']").await;
    bob.expect_bell("Notifications, 2 unread").await;
    bob.click("campanile-bell").await;
    let titles = "[...document.querySelector('campanile-bell').shadowRoot.querySelectorAll('.item .title')].map((it) => it.textContent)";
    let told = ["You are guest now", "Ada invited you"];
    bob.browser.expect(titles, told.to_vec()).await;
    bob.picture("example").await;
    bob.expect_nothing_wrong("the example").await;
    for person in [&ada, &bob] {
        person.expect_a_quiet_console().await;
    }

    // It stops on SIGTERM, although a bell still has a stream.
    let id = app.id().unwrap().to_string();
    Command::new("kill")
        .args(["-TERM", &id])
        .status()
        .await
        .unwrap();
    assert!(app.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_settings_page_is_one_click_away_and_leads_back() {
    let (_app, url) = start().await;
    let ada = Person::sign_in(&url, "Ada").await;
    ada.click("header a").await;
    ada.click("[role=switch][aria-label='Email for Team']")
        .await;
    let said = "document.getElementById('status').textContent";
    ada.browser
        .expect(said, "Saved. Email for Team is off.")
        .await;
    ada.click(".back a").await;
    ada.browser
        .expect("document.querySelector('header p')?.textContent", "Ada")
        .await;
}

#[test]
fn the_readme_shows_less_than_sixty_lines_of_the_example() {
    let readme = include_str!("../../../README.md");
    let mut sections = readme.split("\n## ");
    let story = sections.find(|section| section.starts_with("Add it to your app"));
    let story = story.unwrap().split("\n### ").next().unwrap();
    // The file about notifications is shown completely, except its first line.
    let declarations = include_str!("../../../web/examples/team/notifications.rs");
    let (_, whole) = declarations.split_once("\n\n").unwrap();
    assert!(story.contains(&format!("```text\n{whole}```\n")));
    let sources = [
        declarations,
        include_str!("../../../web/examples/team/main.rs"),
        include_str!("../../../web/examples/team/members.rs"),
        include_str!("../../../web/examples/team/page.html"),
    ]
    .concat();
    let mut lines = 0;
    for fence in ["```text\n", "```html\n"] {
        for block in story.split(fence).skip(1) {
            let block = block.split("\n```").next().unwrap();
            for line in block.lines().filter(|line| !line.is_empty()) {
                assert!(sources.contains(line), "the example has no line {line}");
                lines += usize::from(!line.trim_start().starts_with("//"));
            }
        }
    }
    assert!((50..60).contains(&lines), "{lines} lines");
}
