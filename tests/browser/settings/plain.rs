//! Without JavaScript: each switch is a form, whose answer is the page.

use fantoccini::key::Key;

use super::stage::{ADA, Script, play};

#[test]
fn a_switch_is_turned_without_a_script() {
    play(Script::IsOff, async |stage| {
        stage
            .expect("document.documentElement.dataset.ready ?? ''", "")
            .await;
        stage.click("Email for Team").await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_said("Saved. Email for Team is off.").await;
        stage.expect_focus("Email for Team").await;
        stage.expect_off(&["team.email"]).await;
        stage.look("plain").await;
        // A reload does not send the form again.
        stage.browser.client.refresh().await.unwrap();
        stage.click("Inbox for Team").await;
        stage.expect_switch("Inbox for Team", false, "Saved").await;
        stage.expect_switch("Email for Team", false, "").await;
        stage.expect_off(&["team.email", "team.inbox"]).await;
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn the_focus_stays_on_the_switch_without_a_script() {
    play(Script::IsOff, async |stage| {
        stage.tab_to("Email for Team").await;
        stage.browser.press(&[Key::Space]).await;
        stage.expect_switch("Email for Team", false, "Saved").await;
        stage.expect_focus("Email for Team").await;
        stage.browser.press(&[Key::Enter]).await;
        stage.expect_switch("Email for Team", true, "Saved").await;
        stage.expect_off(&[]).await;
        // The switch of a critical channel can be focused, and does nothing.
        stage.tab_to("Email for Billing").await;
        stage.browser.press(&[Key::Space]).await;
        stage.expect_switch("Email for Billing", true, "").await;
        stage.expect_off(&[]).await;
    });
}

#[test]
fn an_outdated_page_is_reported_without_a_script() {
    play(Script::IsOff, async |stage| {
        let app = &stage.host.app;
        app.choose(ADA, "team", "inbox", campanile::preferences::Choice::Off)
            .await;
        stage.click("Email for Team").await;
        stage
            .expect("document.title", "Not saved: Notifications")
            .await;
        let said = "Not saved. The settings were changed elsewhere in the meantime. The current ones are shown.";
        stage.expect_said(said).await;
        stage.expect_switch("Inbox for Team", false, "").await;
        stage.expect_off(&["team.inbox"]).await;
        stage.look("plain-conflict").await;
    });
}
