//! Two tabs of one browser have one stream, and show the same.

use axum::http::Method;
use fantoccini::wd::WindowHandle;

use crate::host::Host;
use crate::stage::{ADA, Stage, play_with};

impl Stage {
    /// Opens the page in another tab as well, and stays there.
    async fn another_tab(&self) -> WindowHandle {
        let client = &self.browser.client;
        let tab = client.new_window(true).await.unwrap().handle;
        client.switch_to_window(tab.clone()).await.unwrap();
        self.go("/").await;
        tab
    }

    async fn turn_to(&self, tab: &WindowHandle) {
        let client = &self.browser.client;
        client.switch_to_window(tab.clone()).await.unwrap();
    }
}

fn streams(host: &Host) -> usize {
    host.weather.asked(&Method::GET, "/inbox/events")
}

#[test]
fn two_tabs_share_a_stream_and_one_takes_over_from_the_other() {
    play_with(1, async |stage| {
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        let second = stage.another_tab().await;
        stage.expect("bell.inbox.state.live", true).await;
        assert_eq!(streams(&stage.host), 1);

        stage.host.tell(ADA, "Both").await;
        stage.expect_bell("Notifications, 2 unread").await;
        stage.open_list().await;
        stage.click_at_note("Both", "[data-act=read]").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.turn_to(&first).await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.open_list().await;
        stage.expect("all('.item.new').length", 1).await;

        // The first one has the stream. It is closed; what comes before the other one has taken over is there all the same.
        stage.browser.client.close_window().await.unwrap();
        stage.host.tell(ADA, "Between").await;
        stage.turn_to(&second).await;
        stage.expect_bell("Notifications, 2 unread").await;
        stage.expect("bell.inbox.state.live", true).await;
        assert_eq!(streams(&stage.host), 2);
        stage.host.tell(ADA, "After").await;
        stage
            .expect_titles(&["After", "Between", "Both", "Note 1"])
            .await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_browser_that_cannot_share_has_a_stream_in_each_tab() {
    play_with(0, async |stage| {
        let without = serde_json::json!({ "source": "delete Navigator.prototype.locks;" });
        stage
            .browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", without)
            .await;
        stage.go("/").await;
        stage.expect("'locks' in navigator", false).await;
        stage.expect("bell.inbox.state.live", true).await;
        let before = streams(&stage.host);
        stage.host.tell(ADA, "Alone").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.go("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        assert_eq!(streams(&stage.host), before + 1);
    });
}

#[test]
fn tabs_of_different_people_hear_nothing_of_each_other() {
    play_with(0, async |stage| {
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        let second = stage.another_tab().await;
        stage.go("/as/u_bob").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.host.tell(ADA, "For Ada").await;
        stage.host.tell("u_bob", "For Bob").await;
        stage.open_list().await;
        stage.expect_titles(&["For Bob"]).await;
        stage.turn_to(&first).await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage
            .expect("bell.inbox.state.items[0].title", "For Ada")
            .await;
        stage.turn_to(&second).await;
        stage.expect_titles(&["For Bob"]).await;
    });
}

#[test]
fn tabs_of_people_who_are_not_told_apart_share_nothing_either() {
    play_with(0, async |stage| {
        let forget = async || {
            let before = streams(&stage.host);
            stage.eval("bell.removeAttribute('user')").await;
            stage.expect("bell.inbox.state.live", true).await;
            assert_eq!(streams(&stage.host), before + 1);
        };
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        forget().await;
        let second = stage.another_tab().await;
        stage.go("/as/u_bob").await;
        stage.expect("bell.inbox.state.live", true).await;
        forget().await;
        stage.host.tell("u_bob", "For Bob").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.host.tell(ADA, "For Ada").await;
        stage.turn_to(&first).await;
        let titles = "bell.inbox.state.items.map((it) => it.title)";
        stage.expect(titles, vec!["For Ada"]).await;
        stage.turn_to(&second).await;
        stage.expect(titles, vec!["For Bob"]).await;
    });
}
