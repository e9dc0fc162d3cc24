//! Everything can be done from the keyboard alone, and the focus is always seen.

use fantoccini::key::Key;

use crate::stage::Stage;

/// The most stops there may be on the way to something.
const FAR: usize = 80;

impl Stage {
    /// Goes on with Tab until the focus is there.
    async fn tab_to(&self, selector: &str) {
        for _ in 0..FAR {
            self.press(Key::Tab).await;
            let there = format!("document.activeElement.matches(\"{selector}\")");
            if self.browser.eval(&there).await == true {
                let outline = "getComputedStyle(document.activeElement).outlineStyle";
                assert_ne!(
                    self.browser.eval(outline).await,
                    "none",
                    "{selector}: the focus is not seen"
                );
                return;
            }
        }
        panic!("{selector} is not reached with Tab");
    }

    async fn expect_focus(&self, selector: &str) {
        self.expect(
            &format!("document.activeElement.matches(\"{selector}\")"),
            true,
        )
        .await;
    }
}

#[tokio::test]
async fn the_tour_is_taken_from_the_keyboard() {
    let stage = Stage::open().await;
    events_are_fired(&stage).await;
    windows_and_preferences_are_changed(&stage).await;
    the_inbox_is_read(&stage).await;
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

async fn windows_and_preferences_are_changed(stage: &Stage) {
    // The focus is not lost with the row it was in.
    stage.tab_to("#ledger button").await;
    stage.press(Key::Enter).await;
    stage.expect_windows(1).await;
    stage.expect_focus("#ledger, #ledger *").await;

    stage
        .tab_to("[data-category='billing'][data-channel='email']")
        .await;
    stage.press(Key::Enter).await;
    let told = "document.getElementById('status').textContent.includes('is locked')";
    stage.expect(told, true).await;

    let team = "[data-category='team'][data-channel='email']";
    stage.tab_to(team).await;
    stage.press(Key::Space).await;
    let position = format!("document.querySelector(\"{team}\").getAttribute('aria-checked')");
    stage.expect(&position, "false").await;
    stage.expect_focus(team).await;
}

async fn the_inbox_is_read(stage: &Stage) {
    stage.tab_to("#inbox button").await;
    stage.press(Key::Enter).await;
    stage.expect_unread(0).await;
    stage.expect_focus("#inbox, #inbox *").await;
}
