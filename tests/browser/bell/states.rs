//! Every visible state of the bell.

use axum::http::Method;

use super::stage::{ADA, play, play_with};
use crate::host::{Host, NoteLeft};

#[test]
fn an_empty_inbox_says_so_in_each_view() {
    play_with(0, async |stage| {
        stage.expect_bell("Notifications").await;
        stage.expect("one('.badge').hidden", true).await;
        stage.look("closed").await;
        stage.open_list().await;
        for (view, text) in [
            (1, "No notifications yet"),
            (2, "You’re all caught up"),
            (3, "Nothing archived"),
        ] {
            stage.click(&format!(".views :nth-child({view})")).await;
            stage.expect("one('.state')?.textContent ?? ''", text).await;
            stage.look(&format!("empty-{view}")).await;
        }
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_loading_list_shows_a_skeleton() {
    play_with(1, async |stage| {
        stage.host.weather.hold("/notifications/inbox");
        stage.go("/").await;
        stage.open_list().await;
        stage
            .expect("one('.scroll').getAttribute('aria-busy')", "true")
            .await;
        stage.expect("Boolean(one('.bones'))", true).await;
        stage.look("loading").await;
        stage.host.weather.clear();
        stage.expect_titles(&["Note 1"]).await;
        stage
            .expect("one('.scroll').getAttribute('aria-busy')", "false")
            .await;
    });
}

#[test]
fn a_failed_load_is_reported_and_can_be_retried() {
    play_with(1, async |stage| {
        stage
            .host
            .weather
            .refuse(Method::GET, "/notifications/inbox", 500);
        stage.go("/").await;
        stage.open_list().await;
        stage
            .expect(
                "one('.state p')?.textContent",
                "Your notifications couldn’t be loaded",
            )
            .await;
        stage.look("error").await;
        stage.host.weather.clear();
        stage.click(".retry").await;
        stage.expect_titles(&["Note 1"]).await;
        // The element with the focus was removed.
        stage.expect_focus(".panel").await;

        stage
            .host
            .weather
            .refuse(Method::GET, "/notifications/inbox", 401);
        stage.eval("bell.inbox.refresh()").await;
        stage
            .expect(
                "one('.bar.bad').textContent",
                "You’re signed out. This may be out of date.",
            )
            .await;
        stage.look("error-above-a-list").await;
    });
}

#[test]
fn new_read_archived_and_long_notes_look_different() {
    let before = async |host: &Host| {
        for number in 1..=98 {
            host.tell(ADA, &format!("Note {number}")).await;
        }
        let long = NoteLeft {
            title: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".into(),
            text: "A text that goes on and on, with\na second line, and a third one that is longer than any panel is wide. ".repeat(6),
            link: "/note".into(),
        };
        host.leave(ADA, long).await;
        host.tell(ADA, "مرحبا بالعالم").await;
    };
    play(before, async |stage| {
        stage.expect_bell("Notifications, 99+ unread").await;
        stage.expect("one('.badge').textContent", "99+").await;
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        stage.click_at_note("Note 98", "[data-act=read]").await;
        stage.expect_bell("Notifications, 99 unread").await;
        stage.click_at_note("Note 97", "[data-act=archive]").await;
        stage
            .expect(
                "one('.bar[part=message] span')?.textContent",
                "Archived: Note 97",
            )
            .await;
        stage.look("list").await;
        // Not by colour alone: by weight, a mark, and a text.
        let signs = "all('.item').slice(0, 3).map((it) => [getComputedStyle(it.querySelector('.title')).fontWeight, \
            getComputedStyle(it, '::before').content !== 'none', it.querySelector('.unseen').textContent])";
        let new = serde_json::json!(["650", true, "Unread: "]);
        let read = serde_json::json!(["400", false, ""]);
        stage
            .expect(signs, serde_json::json!([new, new, read]))
            .await;
        stage.click(".views :nth-child(3)").await;
        stage.expect_titles(&["Note 97"]).await;
        stage.look("archived").await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_redirect_to_the_sign_in_means_signed_out() {
    play_with(1, async |stage| {
        stage.open_list().await;
        stage.expect_titles(&["Note 1"]).await;
        stage
            .host
            .weather
            .refuse(Method::GET, "/notifications/inbox", 302);
        stage.eval("bell.inbox.refresh()").await;
        stage
            .expect(
                "one('.bar.bad').textContent",
                "You’re signed out. This may be out of date.",
            )
            .await;
        stage.expect_titles(&["Note 1"]).await;
    });
}

#[test]
fn a_bell_keeps_nothing_of_the_previous_person() {
    play_with(2, async |stage| {
        let left = "[one('[part=message]').textContent, one('p[role=status]').textContent, one('.bell').ariaExpanded]";
        stage.open_list().await;
        stage.click_at_note("Note 2", "[data-act=archive]").await;
        stage.expect("Boolean(one('.undo'))", true).await;
        stage.host.tell(ADA, "Told").await;
        stage
            .expect(
                left,
                vec!["Archived: Note 2Undo", "New notification: Told", "true"],
            )
            .await;
        stage.eval("bell.setAttribute('user', 'u_bob')").await;
        assert_eq!(stage.eval(left).await, serde_json::json!(["", "", "false"]));
        stage.open_list().await;
        stage.expect("one('.bell').ariaExpanded", "true").await;
        stage
            .eval("(window.gone = one('.bell'), bell.remove())")
            .await;
        assert_eq!(stage.browser.eval("gone.ariaExpanded").await, "false");
    });
}
