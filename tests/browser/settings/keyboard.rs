//! Everything works with the keyboard alone, and a locked switch says why it is locked.

use fantoccini::key::Key;

use super::stage::{Script, play};

#[test]
fn the_page_works_with_the_keyboard() {
    play(Script::Runs, async |stage| {
        stage.tab_to("Email for Billing").await;
        let why = "document.getElementById(document.activeElement.getAttribute('aria-describedby').split(' ')[0]).textContent";
        let reason =
            "Email cannot be turned off here, because it is critical: A payment is overdue";
        stage.expect(why, reason).await;
        stage.browser.press(&[Key::Space]).await;
        stage.expect_said(reason).await;
        stage.expect_switch("Email for Billing", true, "").await;

        stage.tab_to("Email for Team").await;
        stage.browser.press(&[Key::Space]).await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_focus("Email for Team").await;
        stage.browser.press(&[Key::Enter]).await;
        stage.expect_switch("Email for Team", true, "Saved").await;
        stage.expect_said("Saved. Email for Team is on.").await;
        stage.expect_off(&[]).await;
        stage.look("keyboard").await;
        stage.expect_a_quiet_console().await;
    });
}
