//! The server stops and restarts; the network fails and returns, with an event and silently.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;

use super::stage::{ADA, Stage, play_with};

impl Stage {
    async fn network(&self, is_there: bool) {
        let speed = json!({ "offline": !is_there, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.browser.devtools("Network.enable", json!({})).await;
        self.browser
            .devtools("Network.emulateNetworkConditions", speed)
            .await;
        self.expect("navigator.onLine", is_there).await;
    }
}

#[test]
fn the_bell_reconnects_after_a_server_restart() {
    play_with(45, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        stage.host.kill();
        stage.expect("bell.inbox.state.live", false).await;
        stage.eval("bell.inbox.refresh()").await;
        stage
            .expect(
                "one('.bar.bad').textContent",
                "The server can’t be reached. This may be out of date.",
            )
            .await;
        stage.click_at_note("Note 45", "[data-act=read]").await;
        stage
            .expect(
                "one('.bar.bad[part=message]')?.textContent",
                "That couldn’t be saved, and was undone.",
            )
            .await;
        stage.look("unreachable").await;
        stage.host.tell(ADA, "Missed").await;
        stage.host.start_again().await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.expect("titles()[0]", "Missed").await;
        stage.expect("one('.bar.bad').textContent", "").await;
        stage.host.tell(ADA, "After").await;
        stage.expect("titles()[0]", "After").await;
    });
}

#[test]
fn a_cursor_from_before_a_restart_does_not_end_the_list() {
    play_with(45, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        // The head is not read again after the restart, so its cursor is an old one.
        stage.host.weather.hold("/inbox/events");
        stage.host.kill();
        stage.host.start_again().await;
        stage.click(".older").await;
        stage.expect("titles().length", 40).await;
        stage.expect("titles().at(-1)", "Note 6").await;
    });
}

#[test]
fn an_offline_bell_says_so_and_catches_up_later() {
    play_with(2, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        stage.open_list().await;
        stage.expect_titles(&["Note 2", "Note 1"]).await;
        stage.network(false).await;
        stage
            .expect(
                "one('.bar.bad').textContent",
                "You’re offline. This may be out of date.",
            )
            .await;
        stage.click_at_note("Note 2", "[data-act=archive]").await;
        stage
            .expect(
                "one('.bar.bad[part=message]')?.textContent",
                "That couldn’t be saved, and was undone.",
            )
            .await;
        stage.expect_titles(&["Note 2", "Note 1"]).await;
        stage.look("offline").await;
        stage.click(".views :nth-child(3)").await;
        stage
            .expect("one('.state p')?.textContent", "You’re offline")
            .await;
        stage.look("offline-without-a-list").await;
        stage.click(".views :nth-child(1)").await;
        stage.host.tell(ADA, "Missed").await;
        stage.network(true).await;
        stage.expect_titles(&["Missed", "Note 2", "Note 1"]).await;
        stage.expect("one('.bar.bad').textContent", "").await;
        stage.expect("bell.inbox.state.live", true).await;
    });
}

/// Records which timers wait for the first event of a stream.
const WATCH_TIMERS: &str = "window.waiting = new Set(); const { setTimeout: set, clearTimeout: clear } = window; \
    window.setTimeout = (act, time) => { const id = set(act, time); if (time === 10_000) waiting.add(id); return id; }; \
    window.clearTimeout = (id) => { waiting.delete(id); clear(id); };";

#[test]
fn a_restored_network_renews_the_stream_and_the_head_once() {
    play_with(1, async |stage| {
        let watch = json!({ "source": WATCH_TIMERS });
        stage
            .browser
            .devtools("Page.addScriptToEvaluateOnNewDocument", watch)
            .await;
        stage.go("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.eval("bell.inbox.refresh()").await;
        let asked = |end| stage.host.weather.asked(&Method::GET, end);
        let (streams, heads) = (asked("/inbox/events"), asked("/notifications/inbox"));
        stage
            .eval("window.dispatchEvent(new Event('online'))")
            .await;
        stage.expect("bell.inbox.state.live", true).await;
        // A read that is running ends before this one.
        stage.eval("bell.inbox.refresh()").await;
        assert_eq!(asked("/notifications/inbox"), heads + 2);
        // No timer is left that would close the stream.
        assert_eq!(stage.eval("waiting.size").await, 0);
        stage.host.tell(ADA, "After").await;
        stage.expect_bell("Notifications, 2 unread").await;
        assert_eq!(asked("/inbox/events"), streams + 1);
    });
}

#[test]
fn a_silently_broken_stream_is_detected_within_two_heartbeats() {
    play_with(0, async |stage| {
        // Long enough that a busy machine is not taken for a silent one.
        stage.host.heartbeat = Duration::from_secs(3);
        stage.host.kill();
        stage.host.start_again().await;
        stage.go("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        let streams = stage.host.weather.asked(&Method::GET, "/inbox/events");
        stage.host.weather.mute();
        stage.host.tell(ADA, "Unheard").await;
        stage.expect("bell.inbox.state.live", false).await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("bell.inbox.state.live", true).await;
        let again = stage.host.weather.asked(&Method::GET, "/inbox/events");
        assert_eq!(again, streams + 1);
        stage.host.tell(ADA, "Heard").await;
        stage.expect_bell("Notifications, 2 unread").await;
    });
}
