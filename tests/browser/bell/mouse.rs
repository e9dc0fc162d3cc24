//! Everything works with the mouse.

use axum::http::Method;
use fantoccini::actions::{MOUSE_BUTTON_LEFT, MOUSE_BUTTON_MIDDLE};
use fantoccini::key::Key;
use serde_json::json;

use super::stage::{ADA, Stage, play, play_with};
use crate::host::{Host, NoteLeft};

/// The marks of the notes in the list, without the times.
const MARKS: &str =
    "bell.inbox.state.items.map((it) => [it.title, Boolean(it.readAt), Boolean(it.archivedAt)])";

#[test]
fn notes_are_read_archived_and_restored() {
    play_with(3, async |stage| {
        stage.expect_bell("Notifications, 3 unread").await;
        stage.open_list().await;
        stage.expect_titles(&["Note 3", "Note 2", "Note 1"]).await;
        stage.click_at_note("Note 2", "[data-act=read]").await;
        stage.expect_bell("Notifications, 2 unread").await;
        stage.click_at_note("Note 2", "[data-act=read]").await;
        stage.expect_bell("Notifications, 3 unread").await;
        stage.click_at_note("Note 3", "[data-act=archive]").await;
        stage.expect_titles(&["Note 2", "Note 1"]).await;
        stage.expect_bell("Notifications, 2 unread").await;
        stage.click(".undo").await;
        stage.expect_titles(&["Note 3", "Note 2", "Note 1"]).await;
        stage.click_at_note("Note 1", "[data-act=archive]").await;
        stage.expect_titles(&["Note 3", "Note 2"]).await;
        stage.click(".views :nth-child(3)").await;
        stage.expect_titles(&["Note 1"]).await;
        stage.click_at_note("Note 1", "[data-act=archive]").await;
        stage.expect_titles(&[]).await;
        stage.click(".read-all").await;
        stage.click(".views :nth-child(2)").await;
        stage.expect_titles(&["Note 3", "Note 2", "Note 1"]).await;
        stage.click(".read-all").await;
        stage.expect_titles(&[]).await;
        stage.expect_bell("Notifications").await;
        // The server says the same.
        stage.go("/").await;
        stage.expect_bell("Notifications").await;
        stage.open_list().await;
        stage.expect_titles(&["Note 3", "Note 2", "Note 1"]).await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn the_list_closes_by_its_button_and_by_a_click_elsewhere() {
    play_with(1, async |stage| {
        for close in [".bell", ".close"] {
            stage.open_list().await;
            stage.expect("one('.bell').ariaExpanded", "true").await;
            stage.click(close).await;
            stage.expect("bell.open", false).await;
            stage.expect("one('.bell').ariaExpanded", "false").await;
            stage.expect_focus(".bell").await;
        }
        stage.open_list().await;
        stage.browser.click_at(20.0, 400.0).await;
        stage.expect("bell.open", false).await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn opening_the_list_marks_what_it_shows_as_seen_and_not_as_read() {
    play_with(2, async |stage| {
        stage.expect("bell.inbox.state.counts.unseen", 2).await;
        stage.open_list().await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        stage.expect_bell("Notifications, 2 unread").await;
        let told = async || stage.host.app.inbox(ADA).await;
        stage
            .host
            .app
            .eventually(async || told().await.iter().all(|item| item.seen_at.is_some()))
            .await;
        assert!(told().await.iter().all(|item| item.read_at.is_none()));
        assert_eq!(stage.host.weather.asked(&Method::POST, "/inbox/seen"), 1);
    });
}

#[test]
fn older_notes_are_loaded_page_by_page() {
    play_with(45, async |stage| {
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        stage.click(".older").await;
        stage.expect("titles().length", 40).await;
        // The focus is on the first note that was loaded.
        stage.expect("focused().textContent", "Note 25").await;
        stage.look("older").await;
        stage.click(".older").await;
        stage.expect("titles().length", 45).await;
        stage.expect("titles().at(-1)", "Note 1").await;
        stage.expect("one('.older').hidden", true).await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_failed_page_of_older_notes_is_reported_and_can_be_retried() {
    play_with(25, async |stage| {
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        // The head is read before that, so that only the older page fails: a banner that appears or disappears moves the button.
        stage.expect("bell.inbox.state.live", true).await;
        stage.eval("bell.inbox.refresh()").await;
        stage
            .host
            .weather
            .refuse(Method::GET, "/notifications/inbox", 503);
        stage.click(".older").await;
        stage
            .expect(
                "one('.bar.bad[part=message]')?.textContent",
                "Older notifications couldn’t be loaded.",
            )
            .await;
        stage.look("older-error").await;
        stage.host.weather.clear();
        stage.click(".older").await;
        stage.expect("titles().length", 25).await;
    });
}

#[test]
fn a_refused_change_is_undone_and_reported() {
    play_with(3, async |stage| {
        stage.open_list().await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        let before = stage.eval(MARKS).await;
        stage.host.weather.refuse(Method::PATCH, "", 500);
        stage.host.weather.refuse(Method::POST, "/read-all", 500);
        for control in ["[data-act=read]", "[data-act=archive]"] {
            stage.click_at_note("Note 2", control).await;
            stage
                .expect(
                    "one('.bar.bad[part=message]')?.textContent",
                    "That couldn’t be saved, and was undone.",
                )
                .await;
            stage.expect_titles(&["Note 3", "Note 2", "Note 1"]).await;
            stage.expect(MARKS, before.clone()).await;
            stage.expect_bell("Notifications, 3 unread").await;
        }
        stage.click(".read-all").await;
        stage
            .expect(
                "one('.bar.bad[part=message]')?.textContent",
                "That couldn’t be saved, and was undone.",
            )
            .await;
        stage.expect(MARKS, before).await;
        stage.look("not-saved").await;
    });
}

#[test]
fn a_change_shows_before_the_server_has_answered() {
    play_with(3, async |stage| {
        stage.open_list().await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        stage.host.weather.hold("/read-all");
        stage.click(".read-all").await;
        stage.expect_bell("Notifications").await;
        stage.expect("all('.item.new').length", 0).await;
        stage.host.weather.refuse(Method::POST, "/read-all", 500);
        stage.host.weather.hold("nothing");
        stage.expect_bell("Notifications, 3 unread").await;
        stage.expect("all('.item.new').length", 3).await;
    });
}

#[test]
fn mark_all_marks_only_shown_and_older_notes() {
    play_with(25, async |stage| {
        stage.open_list().await;
        stage.expect("bell.inbox.state.counts.unseen", 0).await;
        // The next note arrives while the request is running.
        stage.host.weather.hold("/read-all");
        stage.click(".read-all").await;
        stage.expect_bell("Notifications").await;
        stage.host.tell(ADA, "Meanwhile").await;
        stage.host.weather.clear();
        let only_the_new_one = async || {
            let items = stage.host.app.inbox(ADA).await;
            items.iter().filter(|item| item.read_at.is_none()).count() == 1
        };
        stage.host.app.eventually(only_the_new_one).await;
        stage.eval("bell.inbox.refresh()").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("titles()[0]", "Meanwhile").await;
        stage.expect("all('.item.new').length", 1).await;
    });
}

#[test]
fn a_click_on_a_note_follows_its_link_and_marks_it_as_read() {
    let before = async |host: &Host| {
        let note = NoteLeft {
            title: "Go".into(),
            text: "There.".into(),
            link: "/note".into(),
        };
        host.leave(ADA, note).await;
        host.tell(ADA, "Stay").await;
    };
    play(before, async |stage| {
        stage.open_list().await;
        stage.expect_titles(&["Stay", "Go"]).await;
        stage.eval("bell.addEventListener('campanile-open', ({ detail }) => { window.told = detail.title; })").await;
        stage.click_at_note("Stay", ".title").await;
        stage.expect_bell("Notifications, 1 unread").await;
        stage.expect("window.told", "Stay").await;
        // A click beside the words is a click too.
        let path = stage.eval("one('a.title').getAttribute('href')").await;
        assert_eq!(path, json!(format!("http://{}/note", stage.host.address)));
        stage.click_at_note("Go", ".body").await;
        stage.browser.expect("location.pathname", "/note").await;
        let read = async || {
            stage
                .host
                .app
                .inbox(ADA)
                .await
                .iter()
                .all(|item| item.read_at.is_some())
        };
        stage.host.app.eventually(read).await;
    });
}

#[test]
fn prevent_default_keeps_the_link_from_being_followed() {
    let before = async |host: &Host| {
        let note = NoteLeft {
            title: "Go".into(),
            text: "There.".into(),
            link: "/note".into(),
        };
        host.leave(ADA, note).await;
    };
    play(before, async |stage| {
        stage.open_list().await;
        stage.expect_titles(&["Go"]).await;
        stage.eval("bell.addEventListener('campanile-open', (event) => { event.preventDefault(); window.told = event.detail.actionUrl; })").await;
        stage.click_at_note("Go", ".title").await;
        stage.expect("window.told", "/note").await;
        stage.expect_bell("Notifications").await;
        stage.expect("location.pathname", "/").await;
    });
}

/// Leaves a note with a link for each of these titles.
async fn leave_links(host: &Host, titles: &[&str]) {
    for title in titles {
        let note = NoteLeft {
            title: (*title).into(),
            text: "There.".into(),
            link: "/note".into(),
        };
        host.leave(ADA, note).await;
    }
}

/// Waits until so many notes are unread on the server.
async fn expect_unread_on_the_server(stage: &Stage, unread: usize) {
    let app = &stage.host.app;
    let is_so = async || {
        let items = app.inbox(ADA).await;
        items.iter().filter(|item| item.read_at.is_none()).count() == unread
    };
    app.eventually(is_so).await;
}

#[test]
fn a_click_that_opens_another_tab_marks_the_note_as_read() {
    let before = async |host: &Host| leave_links(host, &["Middle", "Control", "Shift"]).await;
    play(before, async |stage| {
        stage.open_list().await;
        stage.eval("bell.addEventListener('campanile-open', (event) => { event.preventDefault(); window.told = true; })").await;
        let client = &stage.browser.client;
        let page = client.window().await.unwrap();
        let clicks = [
            ("Middle", MOUSE_BUTTON_MIDDLE, vec![]),
            ("Control", MOUSE_BUTTON_LEFT, vec![Key::Control]),
            ("Shift", MOUSE_BUTTON_LEFT, vec![Key::Shift]),
        ];
        let before = clicks.len();
        for (done, (title, button, keys)) in clicks.into_iter().enumerate() {
            let of_title = format!(
                "all('a.title').find((it) => it.textContent === '{title}').closest('.item').dataset.id"
            );
            let id = stage.eval(&of_title).await;
            let (x, y) = stage
                .point_of(&format!("[data-id='{}'] .title", id.as_str().unwrap()))
                .await;
            stage.browser.click_with(button, &keys, x, y).await;
            expect_unread_on_the_server(stage, before - done - 1).await;
            let opened = async || client.windows().await.unwrap().len() == 2;
            stage.host.app.eventually(opened).await;
            for tab in client.windows().await.unwrap() {
                if tab != page {
                    client.switch_to_window(tab).await.unwrap();
                    stage.browser.expect("location.pathname", "/note").await;
                    client.close_window().await.unwrap();
                }
            }
            client.switch_to_window(page.clone()).await.unwrap();
            stage
                .expect("[bell.open, window.told ?? null]", json!([true, null]))
                .await;
        }
        stage.expect_bell("Notifications").await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_click_that_leaves_the_page_marks_the_note_even_if_the_server_is_slow() {
    let before = async |host: &Host| leave_links(host, &["Go"]).await;
    play(before, async |stage| {
        // It is never answered, so a change that waited for it would never be sent.
        stage.host.weather.hold("/inbox/seen");
        stage.open_list().await;
        stage.expect_titles(&["Go"]).await;
        let seen = async || stage.host.weather.asked(&Method::POST, "/inbox/seen") == 1;
        stage.host.app.eventually(seen).await;
        stage.click_at_note("Go", ".title").await;
        stage.browser.expect("location.pathname", "/note").await;
        expect_unread_on_the_server(stage, 0).await;
    });
}

#[test]
fn a_change_that_waits_for_an_earlier_one_is_sent_when_the_page_is_left() {
    let before = async |host: &Host| leave_links(host, &["Go"]).await;
    play(before, async |stage| {
        let id = stage.host.app.inbox(ADA).await[0].id.to_string();
        let id: &'static str = id.leak();
        stage.host.weather.hold(id);
        stage.open_list().await;
        let asked = async |times| {
            let is_so = async || stage.host.weather.asked(&Method::PATCH, id) == times;
            stage.host.app.eventually(is_so).await;
        };
        stage.click_at_note("Go", "[data-act=read]").await;
        asked(1).await;
        stage.click_at_note("Go", "[data-act=read]").await;
        stage.expect_bell("Notifications, 1 unread").await;
        assert_eq!(
            stage.host.weather.asked(&Method::PATCH, id),
            1,
            "the last change is sent last"
        );
        stage.click_at_note("Go", ".title").await;
        stage.browser.expect("location.pathname", "/note").await;
        asked(3).await;
    });
}

#[test]
fn overlapping_answers_leave_correct_counts() {
    play_with(3, async |stage| {
        // Without a stream, which would correct the counts.
        stage.host.weather.refuse(Method::GET, "/inbox/events", 429);
        stage.go("/").await;
        stage.host.weather.hold("/inbox/seen");
        stage.open_list().await;
        stage.click_at_note("Note 2", "[data-act=read]").await;
        expect_unread_on_the_server(stage, 2).await;
        stage.click_at_note("Note 1", "[data-act=read]").await;
        expect_unread_on_the_server(stage, 1).await;
        stage.host.weather.hold("nothing");
        let counts = "[bell.inbox.state.counts.unread, bell.inbox.state.counts.unseen]";
        stage.expect(counts, json!([1, 0])).await;
        let seen = async || {
            let items = stage.host.app.inbox(ADA).await;
            items.iter().all(|item| item.seen_at.is_some())
        };
        stage.host.app.eventually(seen).await;
        let recounted = async || stage.host.weather.asked(&Method::GET, "/inbox/counts") == 1;
        stage.host.app.eventually(recounted).await;
        stage.expect(counts, json!([1, 0])).await;
    });
}
