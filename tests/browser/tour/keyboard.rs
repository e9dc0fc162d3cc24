//! Everything works with the keyboard alone, and the focus is always visible.

use fantoccini::key::Key;

use super::stage::{BILLING_CANNOT_BE_MUTED, Stage};

/// The maximum number of tab stops on the way to an element.
const MAX_STOPS: usize = 80;

/// The element with the focus, also inside of shadow roots and frames.
const FOCUSED: &str = "(() => { for (let it = document.activeElement; ;) { \
    const inner = it.contentDocument?.activeElement ?? it.shadowRoot?.activeElement; \
    if (!inner) return it; it = inner; } })()";

impl Stage {
    /// Presses Tab until the element has the focus.
    async fn tab_to(&self, selector: &str) {
        for _ in 0..MAX_STOPS {
            self.press(Key::Tab).await;
            let there = format!("{FOCUSED}.matches(\"{selector}\")");
            if self.browser.eval(&there).await == true {
                let outline = format!("getComputedStyle({FOCUSED}).outlineStyle");
                assert_ne!(
                    self.browser.eval(&outline).await,
                    "none",
                    "{selector}: the focus is not visible"
                );
                return;
            }
        }
        panic!("{selector} is not reached with Tab");
    }

    async fn expect_focus(&self, selector: &str) {
        let there = format!("{FOCUSED}.matches(\"{selector}\")");
        self.expect(&there, true).await;
    }
}

#[tokio::test]
async fn the_tour_works_with_the_keyboard() {
    let stage = Stage::open().await;
    events_are_fired(&stage).await;
    a_window_is_released(&stage).await;
    the_inbox_is_read(&stage).await;
    preferences_are_changed(&stage).await;
    stage.expect_a_quiet_console().await;
}

async fn events_are_fired(stage: &Stage) {
    stage.press(Key::Tab).await;
    stage.expect_focus(".skip").await;
    stage.press(Key::Enter).await;

    stage.tab_to("#events input").await;
    stage.press(Key::Down).await;
    let chosen = "document.querySelector('#events :checked').value";
    stage.expect(chosen, "org.member.role_changed").await;
    stage.tab_to("#recipients input[value='u_ben']").await;
    stage.press(Key::Space).await;

    stage.tab_to("#fire-once").await;
    stage.press(Key::Enter).await;
    stage.expect_totals([4, 0, 0]).await;
    stage.expect_windows(2).await;
    stage.expect_focus("#fire-once").await;

    stage.tab_to("#fire-burst").await;
    stage.forget_result().await;
    stage.press(Key::Space).await;
    stage.expect_totals([0, 10, 0]).await;
}

async fn a_window_is_released(stage: &Stage) {
    // The focus is not lost when its row is removed.
    stage.tab_to("#ledger button").await;
    stage.press(Key::Enter).await;
    stage.expect_windows(1).await;
    stage.expect_focus("#ledger, #ledger *").await;
}

async fn the_inbox_is_read(stage: &Stage) {
    stage.tab_to(".bell").await;
    stage.press(Key::Enter).await;
    stage.expect_stages([0, 1, 0]).await;
    stage.expect_focus(".panel").await;
    stage.press(Key::Escape).await;
    stage.expect_focus(".bell").await;

    stage.tab_to("#inbox button").await;
    stage.press(Key::Enter).await;
    stage.expect_stages([0, 0, 1]).await;
    stage.expect_unread(0).await;
    stage.expect_focus("#inbox, #inbox *").await;
}

async fn preferences_are_changed(stage: &Stage) {
    stage.expect_settings().await;
    stage.tab_to("[aria-label='Email for Billing']").await;
    stage.press(Key::Enter).await;
    stage
        .expect_status_of_settings(BILLING_CANNOT_BE_MUTED)
        .await;

    let team = "[aria-label='Email for Team']";
    stage.tab_to(team).await;
    stage.press(Key::Space).await;
    stage
        .expect_status_of_settings("Saved. Email for Team is off.")
        .await;
    stage.expect_focus(team).await;
}
