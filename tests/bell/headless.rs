//! The headless module, for teams that draw a bell of their own.

use crate::stage::{ADA, play_with};

/// An inbox without a bell, and everything it told.
const OWN: &str = "const { Inbox, Problem } = await import('/notifications/inbox.js'); \
    const inbox = new Inbox({ src: '/notifications', user: 'u_ada' }); window.own = { inbox, Problem, states: [], created: [] }; \
    own.stop = inbox.subscribe((state) => own.states.push(state)); \
    inbox.addEventListener('created', ({ detail }) => own.created.push(detail.title)); inbox.start();";

#[test]
fn an_inbox_is_followed_and_changed_without_a_bell() {
    play_with(25, async |stage| {
        let script = format!(
            "(async () => {{ {OWN} }})().then(() => arguments[0](true), (error) => arguments[0](String(error)))"
        );
        let told = stage
            .browser
            .client
            .execute_async(&script, Vec::new())
            .await
            .unwrap();
        assert_eq!(told, true);
        stage.expect("own.inbox.state.items.length", 20).await;
        // A state is one object until something changes, and nobody can change it.
        stage.expect("[own.inbox.state === own.inbox.state, own.states.at(-1) === own.inbox.state, Object.isFrozen(own.inbox.state.items)]", vec![true, true, true]).await;
        stage.eval("own.inbox.loadOlder()").await;
        stage
            .expect(
                "[own.inbox.state.items.length, own.inbox.state.more]",
                serde_json::json!([25, false]),
            )
            .await;
        stage.expect("own.inbox.state.live", true).await;
        stage.host.tell(ADA, "New").await;
        stage.expect("own.created", vec!["New"]).await;
        stage
            .expect(
                "own.inbox.state.counts",
                serde_json::json!({ "unread": 26, "unseen": 26, "total": 26, "badge": "26" }),
            )
            .await;
        stage
            .eval("own.inbox.setRead(own.inbox.state.items[0].id, true)")
            .await;
        stage.expect_bell("Notifications, 25 unread").await;
        let refused = "own.inbox.setArchived('01900000-0000-7000-8000-000000000000', true).then(() => 'done', (it) => [it instanceof own.Problem, it.code, it.status])";
        stage
            .expect(
                refused,
                serde_json::json!([true, "unknown-notification", 404]),
            )
            .await;
        stage.eval("own.inbox.show('archived')").await;
        stage
            .expect(
                "[own.inbox.state.loading, own.inbox.state.items.length]",
                serde_json::json!([false, 0]),
            )
            .await;
        stage.eval("own.stop()").await;
        let heard = stage.eval("own.states.length").await;
        stage.eval("own.inbox.stop()").await;
        stage.eval("own.inbox.refresh()").await;
        stage.expect("own.states.length", heard).await;
        // The bell beside it goes on.
        stage.host.tell(ADA, "Newer").await;
        stage.expect_bell("Notifications, 26 unread").await;
    });
}

#[test]
fn a_view_that_does_not_exist_is_refused_in_words() {
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
