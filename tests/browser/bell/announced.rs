//! What a screen reader announces: once, and not too often.

use axum::http::Method;

use super::stage::{ADA, Stage, play_with};

/// Records every text that a live region announced.
const LISTEN: &str = "window.said = []; const root = document.querySelector('campanile-bell').shadowRoot; \
    for (const region of root.querySelectorAll('[role=status]')) \
    new MutationObserver(() => { if (region.textContent) window.said.push(region.textContent); })\
    .observe(region, { childList: true, characterData: true, subtree: true });";

async fn listen(stage: &Stage) {
    stage
        .browser
        .client
        .execute(LISTEN, Vec::new())
        .await
        .unwrap();
}

#[test]
fn new_notes_are_announced_once_and_bursts_together() {
    play_with(2, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        listen(stage).await;
        stage.host.tell(ADA, "First").await;
        stage.expect_bell("Notifications, 3 unread").await;
        stage
            .expect("window.said", vec!["New notification: First"])
            .await;
        stage
            .host
            .tell_at_once(ADA, &["Second", "Third", "Fourth"])
            .await;
        stage.expect_bell("Notifications, 6 unread").await;
        stage
            .expect(
                "window.said",
                vec!["New notification: First", "3 new notifications"],
            )
            .await;
        // Neither a read of the head nor the list announces them again.
        stage.eval("bell.inbox.refresh()").await;
        stage.open_list().await;
        stage.expect("titles().length", 6).await;
        stage.expect("one('p[role=status]').textContent", "").await;
        stage.expect("window.said.length", 2).await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_note_that_arrives_in_an_open_list_is_shown_and_seen() {
    play_with(1, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        stage.open_list().await;
        stage.expect_titles(&["Note 1"]).await;
        stage.host.tell(ADA, "Live").await;
        stage.expect_titles(&["Live", "Note 1"]).await;
        stage.expect_bell("Notifications, 2 unread").await;
        let seen = async || {
            stage
                .host
                .app
                .inbox(ADA)
                .await
                .iter()
                .all(|item| item.seen_at.is_some())
        };
        stage.host.app.eventually(seen).await;
    });
}

#[test]
fn without_a_stream_the_bell_polls() {
    play_with(1, async |stage| {
        stage.host.weather.refuse(Method::GET, "/inbox/events", 429);
        stage.go("/").await;
        stage.expect_bell("Notifications, 1 unread").await;
        listen(stage).await;
        stage.host.tell(ADA, "Late").await;
        stage.expect_bell("Notifications, 2 unread").await;
        stage
            .expect("window.said", vec!["New notification: Late"])
            .await;
        stage.expect("bell.inbox.state.live", false).await;
        // Once the stream works again, it is used again.
        stage.host.weather.clear();
        stage.expect("bell.inbox.state.live", true).await;
    });
}

#[test]
fn placeholders_and_problems_are_announced_once() {
    const FAILED: &str = "Your notifications couldn’t be loaded. This may be out of date.";
    play_with(0, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        listen(stage).await;
        stage.open_list().await;
        stage
            .expect("window.said", vec!["No notifications yet"])
            .await;
        stage
            .host
            .weather
            .refuse(Method::GET, "/notifications/inbox", 500);
        for _ in 0..2 {
            stage.eval("bell.inbox.refresh()").await;
        }
        stage
            .expect("window.said", vec!["No notifications yet", FAILED])
            .await;
        stage.host.weather.clear();
        stage.eval("bell.inbox.refresh()").await;
        stage.expect("one('.bar.bad').textContent", "").await;
        stage.click(".views :nth-child(2)").await;
        let told = [
            "No notifications yet",
            FAILED,
            "Loading…",
            "You’re all caught up",
        ];
        stage.expect("window.said", told.to_vec()).await;
    });
}

#[test]
fn an_id_from_a_fast_clock_does_not_hide_later_notes() {
    play_with(1, async |stage| {
        let ahead =
            "update campanile_notifications set id = '0fff0000-0000-7000-8000-000000000001'";
        stage.host.app.database.execute(ahead).await;
        stage.go("/").await;
        stage.expect("bell.inbox.state.live", true).await;
        stage.open_list().await;
        stage.expect_titles(&["Note 1"]).await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        listen(stage).await;
        stage.host.tell(ADA, "Later").await;
        stage.expect_titles(&["Note 1", "Later"]).await;
        stage
            .expect("window.said", vec!["New notification: Later"])
            .await;
        let seen = async || {
            let items = stage.host.app.inbox(ADA).await;
            items.iter().all(|item| item.seen_at.is_some())
        };
        stage.host.app.eventually(seen).await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        stage.expect_a_quiet_console().await;
    });
}
