//! Everything works with the keyboard alone; the focus is always visible, and never lost.

use fantoccini::key::Key;

use super::stage::{Stage, play_with};

/// The maximum number of tab stops on the way to an element.
const MAX_STOPS: usize = 30;

impl Stage {
    /// Presses Tab until the element has the focus. A test that has just opened the list waits first until the focus is in it.
    async fn tab_to(&self, selector: &str) {
        for _ in 0..MAX_STOPS {
            self.press(Key::Tab).await;
            let there = format!("focused().matches(\"{selector}\")");
            if self.eval(&there).await == true {
                self.expect_a_visible_focus().await;
                return;
            }
        }
        panic!("{selector} is not reached with Tab");
    }

    async fn expect_a_visible_focus(&self) {
        let outlines = "[null, '::after'].map((part) => getComputedStyle(focused(), part).outlineStyle).some((it) => it !== 'none')";
        self.expect(outlines, true).await;
    }
}

#[test]
fn opening_the_list_moves_the_focus_into_it_and_escape_returns_it() {
    play_with(2, async |stage| {
        for key in [Key::Enter, Key::Space] {
            stage
                .eval("document.querySelector('#before').focus()")
                .await;
            stage.tab_to(".bell").await;
            stage.press(key).await;
            stage.expect("bell.open", true).await;
            stage.expect_focus(".panel").await;
            stage.tab_to(".close").await;
            stage.press(Key::Escape).await;
            stage.expect("bell.open", false).await;
            stage.expect_focus(".bell").await;
        }
        stage.press(Key::Enter).await;
        stage.expect("bell.open", true).await;
        stage.expect_focus(".panel").await;
        stage.tab_to(".close").await;
        stage.press(Key::Enter).await;
        stage.expect("bell.open", false).await;
        stage.expect_focus(".bell").await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn tabbing_out_of_the_list_closes_it() {
    play_with(1, async |stage| {
        stage
            .eval("document.querySelector('#before').focus()")
            .await;
        stage.tab_to(".bell").await;
        stage.press(Key::Enter).await;
        stage.expect_focus(".panel").await;
        stage.expect_titles(&["Note 1"]).await;
        stage.tab_to("#after").await;
        stage.expect("bell.open", false).await;
        stage.browser.press(&[Key::Shift, Key::Tab]).await;
        stage.expect_focus(".bell").await;
        stage.press(Key::Enter).await;
        stage.expect_focus(".panel").await;
        stage.browser.press(&[Key::Shift, Key::Tab]).await;
        stage.expect_focus(".bell").await;
        stage.expect("bell.open", true).await;
        stage.browser.press(&[Key::Shift, Key::Tab]).await;
        stage.expect_focus("#before").await;
    });
}

#[test]
fn notes_are_read_and_archived_with_the_keyboard() {
    play_with(25, async |stage| {
        stage
            .eval("document.querySelector('#before').focus()")
            .await;
        stage.tab_to(".bell").await;
        stage.press(Key::Enter).await;
        stage.expect_focus(".panel").await;
        stage.expect("titles().length", 20).await;
        stage.tab_to(".item [data-act=read]").await;
        stage.press(Key::Enter).await;
        stage.expect_bell("Notifications, 24 unread").await;
        stage
            .expect("focused().ariaLabel", "Mark as unread: Note 25")
            .await;
        stage.press(Key::Down).await;
        stage
            .expect("focused().ariaLabel", "Mark as read: Note 24")
            .await;
        stage.expect_a_visible_focus().await;
        stage.tab_to("[data-act=archive]").await;
        stage.press(Key::Space).await;
        // The focus is on the same control of the next row.
        stage
            .expect("focused().ariaLabel", "Archive: Note 23")
            .await;
        stage.press(Key::Home).await;
        stage
            .expect("focused().ariaLabel", "Archive: Note 25")
            .await;
        stage.press(Key::End).await;
        stage.expect("focused().ariaLabel", "Archive: Note 6").await;
        stage.tab_to(".older").await;
        stage.press(Key::Enter).await;
        stage.expect("focused().textContent", "Note 5").await;
        stage.expect_a_visible_focus().await;
        stage.press(Key::Enter).await;
        stage.expect_bell("Notifications, 22 unread").await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn views_and_mark_all_work_with_the_keyboard() {
    play_with(2, async |stage| {
        stage
            .eval("document.querySelector('#before').focus()")
            .await;
        stage.tab_to(".bell").await;
        stage.press(Key::Enter).await;
        stage.expect_focus(".panel").await;
        stage.tab_to(".read-all").await;
        stage.press(Key::Enter).await;
        stage.expect_bell("Notifications").await;
        // A disabled control keeps the focus.
        stage.expect_focus(".read-all").await;
        stage.expect("focused().ariaDisabled", "true").await;
        for _ in 0..2 {
            stage.browser.press(&[Key::Shift, Key::Tab]).await;
        }
        stage.expect_focus(".views :nth-child(2)").await;
        stage.press(Key::Enter).await;
        stage
            .expect("one('.state')?.textContent", "You’re all caught up")
            .await;
        stage.browser.press(&[Key::Shift, Key::Tab]).await;
        stage.press(Key::Space).await;
        stage.expect_titles(&["Note 2", "Note 1"]).await;
        // The last note of a view is removed, and the focus stays in the list.
        stage.tab_to("[data-act=archive]").await;
        for title in ["Note 2", "Note 1"] {
            stage
                .expect("focused().ariaLabel", format!("Archive: {title}"))
                .await;
            stage.press(Key::Enter).await;
            stage
                .expect(
                    "one('.bar span')?.textContent",
                    format!("Archived: {title}"),
                )
                .await;
        }
        stage.expect_focus(".panel").await;
        stage
            .expect("one('.state')?.textContent", "No notifications yet")
            .await;
        stage.tab_to(".undo").await;
        stage.press(Key::Enter).await;
        stage.expect_titles(&["Note 1"]).await;
        stage.expect_focus(".panel").await;
    });
}
