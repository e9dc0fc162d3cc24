//! Narrow screens, large text, other directions, other colours.

use super::stage::{Stage, play_with};

/// Opens the list, uses it, and checks the screens.
async fn use_it(stage: &Stage, name: &str) {
    stage.expect_bell("Notifications, 25 unread").await;
    stage.open_list().await;
    stage.expect("titles().length", 20).await;
    stage.click_at_note("Note 25", "[data-act=read]").await;
    stage.expect_bell("Notifications, 24 unread").await;
    stage.click_at_note("Note 24", "[data-act=archive]").await;
    stage
        .expect("one('.bar span')?.textContent", "Archived: Note 24")
        .await;
    stage.look(name).await;
    stage.click(".older").await;
    stage.expect("titles().length", 24).await;
    stage.look(&format!("{name}-older")).await;
    stage.click(".close").await;
    stage.expect("bell.open", false).await;
    stage.expect_a_quiet_console().await;
}

#[test]
fn a_narrow_screen_shows_everything() {
    play_with(25, async |stage| {
        stage.browser.resize(320, 640).await;
        use_it(stage, "narrow").await;
    });
}

#[test]
fn a_window_zoomed_to_twice_its_size_shows_everything() {
    play_with(25, async |stage| {
        stage.browser.resize_scaled(640, 480, 2).await;
        use_it(stage, "zoom-200").await;
    });
}

#[test]
fn a_window_zoomed_to_four_times_its_size_shows_everything() {
    play_with(25, async |stage| {
        stage.browser.resize_scaled(320, 256, 4).await;
        use_it(stage, "zoom-400").await;
    });
}

#[test]
fn right_to_left_mirrors_the_layout() {
    play_with(25, async |stage| {
        stage.go("/?dir=rtl&lang=ar").await;
        stage.expect_bell("Notifications, 25 unread").await;
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        let sides = "(() => { const at = (selector) => one(selector).getBoundingClientRect(); return \
            [at('.panel').left >= at('.bell').left - 1, at('.actions').right < at('.item .title').left, at('.close').left < at('h2').left]; })()";
        stage.expect(sides, vec![true, true, true]).await;
        use_it_again(stage, "rtl").await;
        stage.browser.resize(320, 640).await;
        use_it_again(stage, "rtl-narrow").await;
    });
}

async fn use_it_again(stage: &Stage, name: &str) {
    stage.look(name).await;
    stage.click(".close").await;
    stage.open_list().await;
}

#[test]
fn forced_colours_still_show_unread_notes_and_the_chosen_view() {
    play_with(25, async |stage| {
        stage.open_list().await;
        stage.expect("titles().length", 20).await;
        stage.click_at_note("Note 25", "[data-act=read]").await;
        stage.expect("all('.item.new').length", 19).await;
        for scheme in ["light", "dark"] {
            stage
                .browser
                .prefer(&[
                    ("forced-colors", "active"),
                    ("prefers-color-scheme", scheme),
                ])
                .await;
            stage
                .expect("matchMedia('(forced-colors: active)').matches", true)
                .await;
            stage.picture(&format!("forced-{scheme}")).await;
            let mark = "getComputedStyle(one('.item.new'), '::before').backgroundColor !== getComputedStyle(one('.panel')).backgroundColor";
            stage.expect(mark, true).await;
            stage
                .expect(
                    "getComputedStyle(one('[aria-pressed=true]')).outlineStyle",
                    "solid",
                )
                .await;
            stage
                .expect("getComputedStyle(one('.panel')).borderTopStyle", "solid")
                .await;
        }
        stage.expect_a_quiet_console().await;
    });
}

#[test]
fn a_host_can_style_colours_and_parts() {
    play_with(1, async |stage| {
        // A host's variables with plain names do not affect the bell's own.
        let own = "const sheet = new CSSStyleSheet(); sheet.replaceSync(':root { --surface: rgb(1, 2, 3); } \
            campanile-bell { --campanile-surface: var(--surface); } \
            campanile-bell::part(item-unread) { border-block-end-color: rgb(4, 5, 6); }'); document.adoptedStyleSheets.push(sheet);";
        stage.browser.client.execute(own, Vec::new()).await.unwrap();
        stage.open_list().await;
        stage
            .expect(
                "getComputedStyle(one('.panel')).backgroundColor",
                "rgb(1, 2, 3)",
            )
            .await;
        stage
            .expect(
                "getComputedStyle(one('.item')).borderBlockEndColor",
                "rgb(4, 5, 6)",
            )
            .await;
        stage.eval("bell.setAttribute('theme', 'dark')").await;
        stage
            .expect("getComputedStyle(bell).colorScheme", "dark")
            .await;
    });
}
