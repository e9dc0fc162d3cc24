//! The tabs of one person share one stream and show the same; all pages of an origin have at most two streams.

use std::time::Duration;

use axum::http::Method;
use fantoccini::wd::WindowHandle;

use super::stage::{ADA, Stage, play_over_plain_http, play_with};
use crate::host::Host;

impl Stage {
    /// Opens a page in another window, which does not hide the others, and stays there.
    async fn another_window(&self, path: &str) -> WindowHandle {
        self.another(false, path).await
    }

    /// Opens a page in another tab of the same window, which hides this one, and stays there.
    async fn another_tab(&self, path: &str) -> WindowHandle {
        self.another(true, path).await
    }

    async fn another(&self, as_tab: bool, path: &str) -> WindowHandle {
        let client = &self.browser.client;
        let page = client.new_window(as_tab).await.unwrap().handle;
        client.switch_to_window(page.clone()).await.unwrap();
        // A request that gets no connection would wait forever.
        let loaded = tokio::time::timeout(Duration::from_secs(30), self.go(path));
        loaded.await.expect("the page loads");
        page
    }

    /// Waits until all pages together have so many open streams.
    async fn expect_streams(&self, streams: usize) {
        let is_so = async || self.host.weather.streams() == streams;
        self.host.app.eventually(is_so).await;
    }

    /// Switches to a tab, which becomes the visible one of its window.
    async fn turn_to(&self, page: &WindowHandle) {
        let client = &self.browser.client;
        client.switch_to_window(page.clone()).await.unwrap();
    }
}

fn streams(host: &Host) -> usize {
    host.weather.asked(&Method::GET, "/inbox/events")
}

#[test]
fn two_windows_share_a_stream_and_one_takes_over_from_the_other() {
    play_with(1, async |stage| {
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        let second = stage.another_window("/").await;
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

        // The first window has the stream and is closed. A note that arrives before the other one takes over is not missed.
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
fn without_broadcast_channels_each_visible_tab_has_a_stream() {
    play_with(0, async |stage| {
        let without = serde_json::json!({ "source": "delete window.BroadcastChannel;" });
        stage
            .browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", without)
            .await;
        stage.go("/").await;
        stage.expect("'BroadcastChannel' in window", false).await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.host.tell(ADA, "Alone").await;
        stage.expect_bell("Notifications, 1 unread").await;
        let bell = stage.browser.client.window().await.unwrap();
        stage.another_tab("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
        stage.turn_to(&bell).await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
    });
}

#[test]
fn a_hidden_tab_has_no_stream_and_catches_up_when_visible() {
    play_with(0, async |stage| {
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        let second = stage.another_tab("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
        // A third tab hides both, and has no bell.
        let client = &stage.browser.client;
        let third = client.new_window(true).await.unwrap().handle;
        stage.turn_to(&third).await;
        stage.expect_streams(0).await;
        stage.host.tell(ADA, "Missed").await;
        stage.turn_to(&first).await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
        stage.turn_to(&second).await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
    });
}

#[test]
fn eight_tabs_over_plain_http_leave_connections_for_the_app() {
    play_over_plain_http(async |stage| {
        stage
            .expect(
                "[isSecureContext, 'locks' in navigator]",
                vec![false, false],
            )
            .await;
        for _ in 2..=8 {
            stage.another_tab("/").await;
        }
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
        stage.host.tell(ADA, "Told").await;
        stage.expect_bell("Notifications, 1 unread").await;
    });
}

#[test]
fn eight_windows_over_plain_http_share_two_streams() {
    play_over_plain_http(async |stage| {
        let mut windows = vec![stage.browser.client.window().await.unwrap()];
        for _ in 2..=8 {
            windows.push(stage.another_window("/").await);
        }
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect_streams(1).await;
        stage.host.tell(ADA, "All").await;
        for window in &windows {
            stage.turn_to(window).await;
            stage.expect_bell("Notifications, 1 unread").await;
        }
        // Windows that do not share have two streams, and the others poll.
        for window in &windows {
            stage.turn_to(window).await;
            stage.eval("bell.removeAttribute('user')").await;
        }
        stage.expect_streams(2).await;
        stage.host.tell(ADA, "Each").await;
        for window in &windows {
            stage.turn_to(window).await;
            stage.eval("bell.inbox.refresh()").await;
            stage.expect_bell("Notifications, 2 unread").await;
            let answers = "fetch('/note').then((it) => it.status)";
            stage.expect(answers, 200).await;
        }
        assert_eq!(stage.host.weather.streams(), 2);
    });
}

#[test]
fn a_silent_page_loses_its_stream() {
    play_with(0, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        // Another page announces that it had the stream first, and closes.
        let claim = "(() => { const pages = new BroadcastChannel('campanile ' + location.origin); \
             const name = 'campanile u_ada ' + location.origin + '/notifications/inbox/events'; \
             pages.postMessage({ type: 'have', id: 'another', name, since: 1, up: true }); return true; })()";
        stage.eval(claim).await;
        stage.expect_streams(0).await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.host.tell(ADA, "Missed").await;
        stage.expect_streams(1).await;
        stage.expect_bell("Notifications, 1 unread").await;
    });
}

#[test]
fn windows_of_different_people_do_not_share_events() {
    play_with(0, async |stage| {
        stage.go("/of/u_ada").await;
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        let second = stage.another_window("/of/u_bob").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.host.tell(ADA, "For Ada").await;
        stage.host.tell("u_bob", "For Bob").await;
        stage.open_list().await;
        stage.expect_titles(&["For Bob"]).await;
        stage.turn_to(&first).await;
        stage.expect_bell("Notifications, 1 unread").await;
        let titles = "bell.inbox.state.items.map((it) => it.title)";
        stage.expect(titles, vec!["For Ada"]).await;
        // A third person polls, until one of the two closes the window.
        let third = stage.another_window("/of/u_eve").await;
        stage.host.tell("u_eve", "For Eve").await;
        stage.eval("bell.inbox.refresh()").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("bell.inbox.state.live", false).await;
        stage.expect_streams(2).await;
        stage.turn_to(&second).await;
        stage.expect_titles(&["For Bob"]).await;
        stage.browser.client.close_window().await.unwrap();
        stage.turn_to(&third).await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect(titles, vec!["For Eve"]).await;
    });
}

#[test]
fn windows_without_a_user_do_not_share_events() {
    play_with(0, async |stage| {
        let forget = async |path: &str| {
            stage.eval("bell.removeAttribute('user')").await;
            stage.expect("bell.inbox.state.live", true).await;
            let own = format!("bell.getAttribute('src').startsWith('{path}')");
            stage.expect(&own, true).await;
        };
        stage.go("/of/u_ada").await;
        let first = stage.browser.client.window().await.unwrap();
        stage.expect("bell.inbox.state.live", true).await;
        forget("/of/u_ada").await;
        let second = stage.another_window("/of/u_bob").await;
        stage.expect("bell.inbox.state.live", true).await;
        forget("/of/u_bob").await;
        stage.expect_streams(2).await;
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
