//! Email through the dispatcher: addresses, the suppression list, the frozen key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::{NotifiableEvent as _, Outcome};
use campanile_email::{
    Answer, Capabilities, EmailSettings, Mail, Mailer, Resend, SuppressionFilter, SuppressionKind,
    Suppressions,
};
use campanile_tests::events::Role;
use campanile_tests::provider::{Behaviour, Keys, Provider};
use campanile_tests::{App, Kind, both_databases};

/// A host's own mailer that wraps another one, like the example of `Mailer`.
struct Counting<M>(M, Arc<AtomicUsize>);

#[campanile::async_trait]
impl<M: Mailer> Mailer for Counting<M> {
    async fn send(&self, mails: &[Mail]) -> Vec<Answer> {
        self.1.fetch_add(mails.len(), Ordering::Relaxed);
        self.0.send(mails).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
}

both_databases! {
    async fn a_mailer_around_another_keeps_its_batches_and_its_keys(app: App) {
        let provider = Provider::start(Keys::Honoured).await;
        let resend = Resend::at(&provider.url, "re_of_a_test".to_owned()).unwrap();
        let count = Arc::new(AtomicUsize::new(0));
        let settings = EmailSettings::new("Tower <bells@example.com>", Counting(resend, Arc::clone(&count)));
        let dispatcher = app.builder().with(settings).build().unwrap();
        let people: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
        for user in &people {
            app.address(user, "email", &format!("{user}@example.com")).await;
        }
        // Its answer is lost: the same batch is retried.
        provider.follows(|ask| if ask.number == 0 { Behaviour::AcceptThenCut } else { Behaviour::Accept });
        let _ = dispatcher.enqueue(app.password_changed().to(&people)).await.unwrap();
        dispatcher.deliver_due(100).await.unwrap();
        let requests = provider.ledger().entries;
        assert_eq!((requests.len(), requests[0].mails.len()), (1, 100));
        assert!(requests[0].key.starts_with("cmp_batch_"), "{}", requests[0].key);
        app.database.advance_deliveries().await;
        dispatcher.deliver_due(100).await.unwrap();
        let requests = provider.ledger().entries;
        assert_eq!(requests.len(), 2);
        assert_eq!((&requests[0].key, requests[0].body), (&requests[1].key, requests[1].body));
        assert_eq!(count.load(Ordering::Relaxed), 200);
    }

    async fn a_mail_is_sent_to_the_address_in_the_book_with_the_rendered_content(app: App) {
        let _ = app.dispatcher.dispatch(app.role_changed(Role::Admin).to(["u_ada"])).await.unwrap();
        let mail = app.mails().remove(0);
        assert_eq!(mail.to.to_string(), "u_ada@example.com");
        assert_eq!(mail.from.to_string(), "Tower <bells@example.com>");
        assert_eq!(mail.subject, "Your role is now admin");
        assert!(mail.html.contains("<b>Tower</b> to admin"), "{}", mail.html);
        assert_eq!(mail.text.trim(), "Bob changed your role in Tower to admin.");
    }

    async fn the_text_of_a_mail_is_frozen_with_its_content(app: App) {
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Admin).to(["u_ada"])).await.unwrap();
        let whole = "select count(*) from {campanile}notification_dispatches \
             where trim(content -> 'email' ->> 'text') like 'Bob changed your role in Tower to admin.%' \
             and content -> 'email' ->> 'html' like '<!doctype html>%'";
        assert_eq!(app.database.number(whole).await, 1);
        // As if the dispatching version had derived another text.
        let other = match app.database.kind {
            Kind::Postgres => "update {campanile}notification_dispatches set content = content || \
                 jsonb_build_object('email', content -> 'email' || jsonb_build_object('text', 'frozen'))",
            Kind::Sqlite => "update {campanile}notification_dispatches set content = json_set(content, '$.email.text', 'frozen')",
        };
        app.database.execute(other).await;
        app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!(app.mails()[0].text, "frozen");
    }

    async fn content_that_an_older_version_froze_without_a_text_is_sent_with_one(app: App) {
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Admin).to(["u_ada"])).await.unwrap();
        let older = match app.database.kind {
            Kind::Postgres => "update {campanile}notification_dispatches set content = content || \
                 jsonb_build_object('email', jsonb_build_object('subject', 'S', 'html', '<p>Hello <b>Ada</b></p>'))",
            Kind::Sqlite => "update {campanile}notification_dispatches set content = json_set(content, '$.email', \
                 json_object('subject', 'S', 'html', '<p>Hello <b>Ada</b></p>'))",
        };
        app.database.execute(older).await;
        app.dispatcher.deliver_due(10).await.unwrap();
        let mail = app.mails().remove(0);
        assert_eq!(mail.text.trim(), "Hello Ada");
        assert!(mail.html.starts_with("<!doctype html>"), "{}", mail.html);
    }

    async fn a_text_part_of_the_event_is_sent_unchanged(app: App) {
        let _ = app.dispatcher.dispatch(app.past_due().to(["u_ada"])).await.unwrap();
        assert_eq!(app.mails()[0].text.trim(), "Pay 12 EUR: /pay");
    }

    async fn a_suppressed_address_gets_no_mail_and_is_reported_as_suppressed(app: App) {
        // The list ignores the case of addresses.
        app.suppress("U_Ada@Example.com").await;
        let report = app.dispatcher.dispatch(app.role_changed(Role::Admin).to(["u_ada", "u_bob"])).await.unwrap();
        assert_eq!((report.sent, report.suppressed_addresses, report.failed), (3, 1, 0));
        assert_eq!(report.outcomes[0].outcome, Outcome::SuppressedAddress);
        assert_eq!(app.mails().len(), 1);
        let suppressed = "select count(*) from {campanile}notification_deliveries where state = 'suppressed'";
        assert_eq!(app.database.number(suppressed).await, 1);
        let list = Suppressions::new(app.database.database.clone());
        assert!(list.contains("u_ada@example.com").await.unwrap());
        assert!(list.remove("u_ada@EXAMPLE.com").await.unwrap());
        assert!(!list.contains("u_ada@example.com").await.unwrap());
    }

    async fn an_address_suppressed_after_the_commit_gets_no_mail_from_a_later_attempt(app: App) {
        let _ = app.dispatcher.enqueue(app.role_changed(Role::Admin).to(["u_ada"])).await.unwrap();
        app.suppress("u_ada@example.com").await;
        let attempted = app.dispatcher.deliver_due(10).await.unwrap();
        assert_eq!((attempted.claimed, attempted.sent), (1, 0));
        assert_eq!(app.mails().len(), 0);
    }

    async fn a_suppression_has_a_kind_and_lasts_until_it_expires(app: App) {
        use SuppressionKind::{Bounce, Complaint, Manual};
        let list = Suppressions::new(app.database.database.clone());
        let ada = "u_ada@example.com";
        let hours = |hours| Duration::from_hours(hours);
        let mails = async || {
            let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
            app.mails().len()
        };
        // A later expiry replaces an earlier one, with its kind and its reason, and no expiry replaces any.
        for (time, kind, reason, listed) in [
            (Some(hours(2)), Complaint, "spam", (Complaint, "spam", true)),
            (Some(hours(1)), Bounce, "sooner", (Complaint, "spam", true)),
            (Some(hours(3)), Bounce, "later", (Bounce, "later", true)),
            (None, Manual, "asked", (Manual, "asked", false)),
            (Some(hours(9)), Bounce, "for a while", (Manual, "asked", false)),
        ] {
            match time {
                Some(time) => list.add_for(time, kind, ada, reason).await.unwrap(),
                None => list.add_as(kind, ada, reason).await.unwrap(),
            }
            let found = list.get(ada).await.unwrap().unwrap();
            assert_eq!((found.kind, found.reason.as_str(), found.expires_at.is_some()), listed, "{reason}");
            assert_eq!(mails().await, 0, "{reason}");
        }
        app.database.execute("update {campanile}email_suppressions set expires_at = {earlier(1)}").await;
        assert!(!list.contains(ada).await.unwrap());
        assert!(list.list(SuppressionFilter::default()).await.unwrap().is_empty());
        assert_eq!(mails().await, 1, "it has expired");
    }

    async fn the_idempotency_key_identifies_the_delivery_and_not_the_event(app: App) {
        for _ in 0..2 {
            let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
        }
        let keys: Vec<_> = app.mails().into_iter().map(|mail| mail.idempotency_key).collect();
        assert_ne!(keys[0], keys[1]);
        let own = format!(
            "select count(*) from {{campanile}}notification_deliveries where channel = 'email' and {{text(id)}} = '{}'",
            keys[0].strip_prefix("cmp_").unwrap()
        );
        assert_eq!(app.database.number(&own).await, 1);
    }

    async fn the_newest_address_wins_and_set_replaces_all_of_them(app: App) {
        let book = app.dispatcher.addresses();
        let mailed = async || {
            let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
            app.mails().pop().unwrap().to.to_string()
        };
        book.add("u_ada", "email", "new@example.com").await.unwrap();
        assert_eq!(mailed().await, "new@example.com");
        book.add("u_ada", "email", "u_ada@example.com").await.unwrap();
        assert_eq!(mailed().await, "u_ada@example.com", "an address that is added again is the newest");
        book.add("u_ada", "email", "no address").await.unwrap();
        app.suppress("u_ada@example.com").await;
        assert_eq!(mailed().await, "new@example.com", "the newest that can be used");
        book.set("u_ada", "email", "only@example.com").await.unwrap();
        assert_eq!(mailed().await, "only@example.com");
        let rows = "select count(*) from {campanile}notification_addresses where user_id = 'u_ada' and channel = 'email'";
        assert_eq!(app.database.number(rows).await, 1);
        let devices = "select count(*) from {campanile}notification_addresses where user_id = 'u_ada' and channel = 'push'";
        assert_eq!(app.database.number(devices).await, 1);
        assert!(book.set("u_ada", "email", "").await.is_err());
    }

    async fn an_added_address_is_the_newest_even_after_the_clock_was_set_back(app: App) {
        let book = app.dispatcher.addresses();
        for (address, set) in [("added@example.com", false), ("set@example.com", true)] {
            // The clock was an hour ahead, and has been corrected since.
            let ahead = "update {campanile}notification_addresses set created_at = {later(3600000000)} where user_id = 'u_ada'";
            app.database.execute(ahead).await;
            if set {
                book.set("u_ada", "email", address).await.unwrap();
            } else {
                book.add("u_ada", "email", address).await.unwrap();
            }
            let _ = app.dispatcher.dispatch(app.password_changed().to(["u_ada"])).await.unwrap();
            assert_eq!(app.mails().pop().unwrap().to.to_string(), address);
        }
    }

    async fn one_of_many_addresses_set_concurrently_stays(app: App) {
        let book = app.dispatcher.addresses();
        let calls = (0..8).map(|number| {
            let book = book.clone();
            tokio::spawn(async move { book.set("u_ada", "email", &format!("{number}@example.com")).await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        let rows = "select count(*) from {campanile}notification_addresses where user_id = 'u_ada' and channel = 'email'";
        assert_eq!(app.database.number(rows).await, 1);
    }

    async fn an_address_that_could_inject_a_header_is_refused(app: App) {
        let book = campanile::operate::AddressTable::new(app.database.database.clone());
        let error = book.add("u_x", "email", "a@example.com\r\nBcc: b@example.com").await.unwrap_err();
        assert!(error.to_string().contains("`address` holds the control character U+000D"), "{error}");
    }
}
