//! The headless module, for hosts that draw a bell of their own.

use axum::http::Method;
use serde_json::json;

use super::stage::{ADA, Stage, play, play_with};
use crate::host::Host;

/// An inbox without a bell, with `options`, and everything that it reported.
const OWN: &str = "const { Inbox, Problem } = await import('/notifications/inbox.js'); \
    const inbox = new Inbox({ src: '/notifications', ...options }); window.own = { inbox, Problem, states: [], created: [] }; \
    own.stop = inbox.subscribe((state) => own.states.push(state)); \
    inbox.addEventListener('created', ({ detail }) => own.created.push(detail.title)); inbox.start();";

impl Stage {
    /// Starts an inbox: `own.inbox`.
    async fn begin(&self, options: &str) {
        let script = format!(
            "(async (options) => {{ {OWN} }})({options}).then(() => arguments[0](true), (error) => arguments[0](String(error)))"
        );
        let client = &self.browser.client;
        let told = client.execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(told, true);
        self.expect("own.inbox.state.loading", false).await;
    }
}

#[test]
fn an_inbox_is_followed_and_changed_without_a_bell() {
    play_with(25, async |stage| {
        stage.begin("{ user: 'u_ada' }").await;
        stage.expect("own.inbox.state.items.length", 20).await;
        // A state is one object until something changes, and nobody can change it.
        stage.expect("[own.inbox.state === own.inbox.state, own.states.at(-1) === own.inbox.state, Object.isFrozen(own.inbox.state.items)]", vec![true, true, true]).await;
        // Waits for the read that the stream began with, because it would shorten the list again.
        stage.expect("own.inbox.state.live", true).await;
        stage.eval("own.inbox.refresh()").await;
        stage.eval("own.inbox.loadOlder()").await;
        stage
            .expect(
                "[own.inbox.state.items.length, own.inbox.state.more]",
                json!([25, false]),
            )
            .await;
        stage.expect("own.inbox.state.live", true).await;
        stage.host.tell(ADA, "New").await;
        stage.expect("own.created", vec!["New"]).await;
        stage
            .expect(
                "own.inbox.state.counts",
                json!({ "unread": 26, "unseen": 26, "total": 26, "badge": "26" }),
            )
            .await;
        stage
            .eval("own.inbox.setRead(own.inbox.state.items[0].id, true)")
            .await;
        stage.expect_bell("Notifications, 25 unread").await;
        let refused = "own.inbox.setArchived('01900000-0000-7000-8000-000000000000', true).then(() => 'done', (it) => [it instanceof own.Problem, it.code, it.status])";
        stage
            .expect(refused, json!([true, "unknown-notification", 404]))
            .await;
        stage.eval("own.inbox.show('archived')").await;
        stage
            .expect(
                "[own.inbox.state.loading, own.inbox.state.items.length]",
                json!([false, 0]),
            )
            .await;
        stage.eval("own.stop()").await;
        let heard = stage.eval("own.states.length").await;
        stage.eval("own.inbox.stop()").await;
        stage.eval("own.inbox.refresh()").await;
        stage.expect("own.states.length", heard).await;
        // The bell beside it continues.
        stage.host.tell(ADA, "Newer").await;
        stage.expect_bell("Notifications, 26 unread").await;
    });
}

#[test]
fn an_unknown_view_is_refused_with_the_known_ones() {
    play_with(0, async |stage| {
        let refused = "(() => { try { bell.inbox.show('starred'); } catch (error) { return error.message; } })()";
        stage
            .expect(
                refused,
                "there is no view \"starred\": all, unread, archived",
            )
            .await;
    });
}

#[test]
fn an_inbox_of_one_organization_counts_only_its_items() {
    let before = async |host: &Host| {
        host.tell_in(ADA, "org_1", "Here").await;
        host.tell_in(ADA, "org_2", "There").await;
        // Without a stream, which would correct the counts.
        host.weather.refuse(Method::GET, "/inbox/events", 429);
    };
    play(before, async |stage| {
        stage.begin("{ user: 'u_ada', org: 'org_1' }").await;
        let here = "[own.inbox.state.items.map((it) => it.title), own.inbox.state.counts.unread, own.inbox.state.counts.total]";
        stage.expect(here, json!([["Here"], 1, 1])).await;
        for (read, unread) in [(true, 0), (false, 1)] {
            let set = format!("own.inbox.setRead(own.inbox.state.items[0].id, {read})");
            stage.eval(&set).await;
            assert_eq!(stage.eval(here).await, json!([["Here"], unread, 1]));
        }
        stage.eval("own.inbox.readAll()").await;
        assert_eq!(stage.eval(here).await, json!([["Here"], 0, 1]));
        stage.expect_bell("Notifications, 2 unread").await;
        stage.eval("bell.inbox.refresh()").await;
        stage.expect_bell("Notifications, 1 unread").await;
    });
}

#[test]
fn without_a_user_nothing_is_shared() {
    play_with(0, async |stage| {
        stage.expect("bell.inbox.state.live", true).await;
        let asked = || stage.host.weather.asked(&Method::GET, "/inbox/events");
        stage.begin("{}").await;
        stage.expect("own.inbox.state.live", true).await;
        assert_eq!(asked(), 2);
        stage.begin("{ user: 'u_ada' }").await;
        stage.expect("own.inbox.state.live", true).await;
        assert_eq!(asked(), 2);
    });
}

#[test]
fn a_new_view_does_not_wait_for_the_previous_ones_load() {
    play_with(45, async |stage| {
        stage.begin("{ user: 'u_ada' }").await;
        stage.expect("own.inbox.state.live", true).await;
        stage.eval("own.inbox.refresh()").await;
        stage.host.weather.hold("/notifications/inbox");
        stage
            .eval("(own.older = own.inbox.loadOlder(), null)")
            .await;
        stage.expect("own.inbox.state.loadingOlder", true).await;
        stage.eval("own.inbox.show('unread')").await;
        stage.expect("own.inbox.state.loadingOlder", false).await;
        stage.host.weather.clear();
        stage.eval("own.older").await;
        stage.expect("own.inbox.state.items.length", 20).await;
        stage.eval("own.inbox.loadOlder()").await;
        stage
            .expect(
                "[own.inbox.state.items.length, own.inbox.state.loadingOlder]",
                json!([40, false]),
            )
            .await;
    });
}

#[test]
fn a_long_list_keeps_its_length_when_it_is_read_again() {
    let before = async |host: &Host| {
        let titles: Vec<_> = (1..=130).map(|number| number.to_string()).collect();
        let titles: Vec<_> = titles.iter().map(String::as_str).collect();
        host.tell_at_once(ADA, &titles).await;
    };
    play(before, async |stage| {
        stage.begin("{ user: 'u_ada' }").await;
        stage.expect("own.inbox.state.live", true).await;
        stage.eval("own.inbox.refresh()").await;
        for shown in [40, 60, 80, 100, 120, 130] {
            stage.eval("own.inbox.loadOlder()").await;
            stage.expect("own.inbox.state.items.length", shown).await;
        }
        stage.eval("own.inbox.refresh()").await;
        let shown = "[own.inbox.state.items.length, own.inbox.state.more]";
        assert_eq!(stage.eval(shown).await, json!([130, false]));
        stage.eval("own.inbox.readAll()").await;
        stage
            .expect("own.inbox.state.items.filter((it) => !it.readAt).length", 0)
            .await;
    });
}

#[test]
fn an_inbox_that_is_open_for_long_keeps_few_items_and_polls_rarely() {
    play_with(0, async |stage| {
        stage.begin("{ user: 'u_ada' }").await;
        stage.expect("own.inbox.state.live", true).await;
        for batch in 0..20 {
            let titles: Vec<_> = (0..15).map(|number| format!("{batch} {number}")).collect();
            let titles: Vec<_> = titles.iter().map(String::as_str).collect();
            stage.host.tell_at_once(ADA, &titles).await;
            let newest = json!(titles.last());
            stage
                .expect("own.inbox.state.items[0]?.title ?? null", newest)
                .await;
        }
        stage
            .expect("own.inbox.state.items.length <= 85", true)
            .await;
        stage.expect("own.created.length", 300).await;
        // Two inboxes, each with a few reads at the beginning.
        let heads = stage
            .host
            .weather
            .asked(&Method::GET, "/notifications/inbox");
        assert!(heads < 40, "{heads} reads");
        stage.eval("own.inbox.loadOlder()").await;
        stage.expect("own.inbox.state.more", true).await;
    });
}
