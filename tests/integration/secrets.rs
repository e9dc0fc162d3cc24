//! Secret fields: they reach the recipient, and are not stored anywhere else.

use campanile::channel::Verdict;
use campanile::channel::{EMAIL, INBOX, PUSH};
use campanile::database::each_database;
use campanile::operate::{DeadFilter, DeliveryChangeError, DeliveryFilter, DeliverySummary};
use campanile::{EventRequest, Notice, NotifiableEvent as _, notifiable_event};
use campanile_email::{Answer, EmailSettings};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::provider::{Behaviour, Keys, Provider};
use campanile_tests::{App, Kind, Running, both_databases};

use crate::logging;

/// You asked for a link to sign in with.
#[notifiable_event(
    "auth.link.requested",
    category = "security",
    expires_after = "15m",
    channels(
        INBOX(title = "A link was sent", body = "For {{ device }}."),
        EMAIL(
            subject = "Sign in",
            html = "<p>Hello {{ device }}, <a href=\"{{ link }}\">sign in</a> or type {{ code }}.</p>",
        ),
        PUSH(title = "Your code", body = "{{ code }}"),
    ),
    critical = EMAIL
)]
struct LinkRequested {
    device: String,
    #[notifiable(secret)]
    link: String,
    #[notifiable(secret)]
    code: u64,
}

/// A password that nobody may read on the way.
#[notifiable_event(
    "loft.password.sent",
    category = "loft",
    dedup(window = "0s"),
    channels(PIGEON(scroll = "{{ password }}"))
)]
struct PasswordSent {
    #[notifiable(secret)]
    password: String,
}

/// Long enough not to be part of a time or an id by chance.
const CODE: u64 = 918_273_645_546_372_819;

/// The texts that must not be found: in the link, and as a number.
fn link(canary: &str) -> String {
    format!("https://app.example.com/in?token={canary}&next=home")
}

fn requested(canary: &str) -> Notice {
    let event = LinkRequested {
        device: "laptop".into(),
        link: link(canary),
        code: CODE,
    };
    event.to(["u_ada"])
}

fn sent(canary: &str) -> Notice {
    let event = PasswordSent {
        password: canary.into(),
    };
    event.about("a").to(["u_ada"])
}

/// The tables in which a text is found, in any column.
async fn tables_with(app: &App, text: &str) -> Vec<String> {
    let names = match app.database.kind {
        Kind::Postgres => {
            "select table_name::text from information_schema.tables where table_schema = 'campanile' and table_name <> '_campanile_migrations'"
        }
        Kind::Sqlite => {
            "select substr(name, 11) from sqlite_master where type = 'table' and name glob 'campanile_*'"
        }
    };
    let mut found = Vec::new();
    for table in app.database.texts(names).await.into_iter().flatten() {
        let columns = match app.database.kind {
            Kind::Postgres => vec!["t::text".to_owned()],
            Kind::Sqlite => {
                let columns = format!(
                    "select '\"' || name || '\"' from pragma_table_info('campanile_{table}')"
                );
                let columns = app.database.texts(&columns).await;
                columns.into_iter().flatten().collect()
            }
        };
        for column in columns {
            let with = format!(
                "select count(*) from {{campanile}}{table} as t where {column} like '%{text}%'"
            );
            if app.database.number(&with).await > 0 {
                found.push(table.clone());
            }
        }
    }
    found
}

/// No stored row contains the canary or the code.
async fn assert_kept_nowhere(app: &App, canary: &str) {
    for text in [canary, &CODE.to_string()] {
        let found = tables_with(app, text).await;
        assert!(found.is_empty(), "`{text}` is in {found:?}");
    }
    let leaks = logging::lines(|line| {
        let is_of_sqlx = line
            .get("target")
            .is_some_and(|target| target.starts_with("sqlx"));
        !is_of_sqlx && line.values().any(|value| value.contains(canary))
    });
    assert!(leaks.is_empty(), "{leaks:?}");
}

async fn all(app: &App) -> Vec<DeliverySummary> {
    let all = app
        .dispatcher
        .operations()
        .deliveries(DeliveryFilter::default())
        .await;
    all.unwrap()
}

/// A dispatcher whose pigeons end with this verdict.
fn with_pigeons(app: &App, verdict: Verdict) -> campanile::Dispatcher {
    let ends = PigeonSettings::new(move |_| Flight::Ends(verdict.clone()));
    app.builder().with(ends).build().unwrap()
}

both_databases! {
    async fn a_secret_is_stored_only_until_it_has_reached_the_recipient(app: App) {
        logging::collect();
        let canary = "canary-reaches";
        let report = app.dispatcher.enqueue(requested(canary)).await.unwrap();
        assert_eq!((report.sent, report.queued), (1, 2));
        // Until then it is stored with the deliveries that show it, and not in the content that they share.
        assert_eq!(tables_with(&app, canary).await, ["notification_deliveries"]);
        let worker = Running::start(&app.dispatcher);
        app.eventually(async || app.mails().len() + app.pushes().len() == 2).await;
        worker.stop().await;
        let mail = app.mails().remove(0);
        assert!(mail.html.contains("token=canary-reaches&amp;next=home"), "{}", mail.html);
        assert!(mail.text.contains(&link(canary)) && mail.text.contains("918273645546372819"), "{}", mail.text);
        assert_eq!(app.pushes()[0].body, "918273645546372819");
        assert_kept_nowhere(&app, canary).await;
        let item = app.inbox("u_ada").await.remove(0);
        assert_eq!(item.body, "For laptop.");
        assert_eq!(item.payload, serde_json::json!({ "device": "laptop", "link": null, "code": null }));
    }

    async fn the_first_attempt_of_a_dispatch_leaves_no_secret_either(app: App) {
        logging::collect();
        let canary = "canary-at-once";
        let report = app.dispatcher.dispatch(requested(canary)).await.unwrap();
        assert_eq!((report.sent, report.queued, report.failed), (3, 0, 0));
        assert!(app.mails()[0].text.contains(&link(canary)));
        assert_kept_nowhere(&app, canary).await;
    }

    async fn a_retry_sends_the_same_secret_and_the_end_erases_it(app: App) {
        logging::collect();
        let canary = "canary-retried";
        let stormy = with_pigeons(&app, Verdict::retry("storm"));
        let _ = stormy.dispatch(sent(canary)).await.unwrap();
        assert_eq!(tables_with(&app, canary).await, ["notification_deliveries"]);
        app.database.advance_deliveries().await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.pigeons.arrived(), [("u_ada".to_owned(), canary.to_owned())]);
        assert_kept_nowhere(&app, canary).await;
    }

    async fn every_end_of_a_delivery_erases_its_secret(app: App) {
        logging::collect();
        let canary = "canary-ends";
        for verdict in [
            Verdict::accepted(), Verdict::permanent("refused"), Verdict::SuppressedAddress, Verdict::Unreachable,
        ] {
            let _ = with_pigeons(&app, verdict).dispatch(sent(canary)).await.unwrap();
        }
        let unheard = with_pigeons(&app, Verdict::unknown("no answer"));
        for _ in 0..3 {
            let _ = unheard.dispatch(sent(canary)).await.unwrap();
            app.database.advance_deliveries().await;
            unheard.deliver_due(10).await.unwrap();
        }
        app.database.advance_deliveries().await;
        unheard.deliver_due(10).await.unwrap();
        let _ = app.dispatcher.enqueue(sent(canary)).await.unwrap();
        let cancelled = all(&app).await.remove(0);
        app.dispatcher.operations().cancel_delivery(cancelled.id).await.unwrap();
        let _ = app.dispatcher.enqueue(sent(canary)).await.unwrap();
        app.database.change_deliveries("expires_at = {earlier(1)} where state = 'pending'").await;
        app.dispatcher.deliver_due(10).await.unwrap();
        let mut states: Vec<_> = all(&app).await.iter().map(|one| one.state.as_str()).collect();
        assert!(all(&app).await.iter().all(|one| one.erased && one.finished_at.is_some()));
        states.sort_unstable();
        states.dedup();
        assert_eq!(states, ["cancelled", "dead", "delivered", "expired", "suppressed", "unknown", "unreachable"]);
        assert_kept_nowhere(&app, canary).await;
    }

    async fn a_delivery_with_an_erased_secret_cannot_be_retried_and_says_so(app: App) {
        let _ = with_pigeons(&app, Verdict::permanent("refused")).dispatch(sent("canary-again")).await.unwrap();
        let dead = all(&app).await.remove(0);
        let refused = app.dispatcher.operations().retry_delivery(dead.id).await.unwrap_err();
        assert!(matches!(refused, DeliveryChangeError::Erased(id) if id == dead.id), "{refused}");
        assert!(refused.to_string().ends_with("dispatch the event again"), "{refused}");
        assert_eq!(app.dispatcher.operations().count_dead(DeadFilter::default()).await.unwrap(), 0);
        assert_eq!(app.dispatcher.operations().redrive_dead(DeadFilter::default()).await.unwrap(), 0);
        assert_eq!(app.database.deliveries("state = 'dead'").await, 1);
        // A delivery without a secret can be retried.
        let _ = with_pigeons(&app, Verdict::permanent("refused"))
            .dispatch(campanile_tests::events::PigeonAlone { text: "x".into() }.to(["u_ada"])).await.unwrap();
        assert_eq!(app.dispatcher.operations().redrive_dead(DeadFilter::default()).await.unwrap(), 1);
    }

    async fn a_parked_delivery_keeps_its_secret_until_it_can_be_sent(app: App) {
        let _ = app.dispatcher.enqueue(sent("canary-parked")).await.unwrap();
        app.database.change_deliveries("state = 'blocked', blocked_as = 'channel'").await;
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_eq!(app.pigeons.arrived()[0].1, "canary-parked");
        assert_eq!(app.database.deliveries("secret = ''").await, 1);
    }

    async fn a_delivery_that_an_older_process_could_not_read_is_sent_by_a_running_worker(app: App) {
        let worker = Running::start(&app.dispatcher);
        // Its first poll, which claims all parked deliveries, is over.
        let seen = "select count(*) from {campanile}notification_workers";
        app.eventually(async || app.database.number(seen).await == 1).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let paused = app.dispatcher.operations().pause_channel("pigeon", "a story");
        paused.await.unwrap();
        let _ = app.dispatcher.enqueue(sent("canary-older")).await.unwrap();
        app.database.change_deliveries("state = 'blocked', blocked_as = 'content'").await;
        app.dispatcher.operations().resume_channel("pigeon").await.unwrap();
        app.eventually(async || app.pigeons.arrived().len() == 1).await;
        worker.stop().await;
        assert_eq!(app.pigeons.arrived()[0].1, "canary-older");
    }

    async fn the_secret_of_an_expired_delivery_is_erased_even_if_no_worker_can_end_it(app: App) {
        logging::collect();
        let canary = "canary-expired";
        let operations = app.dispatcher.operations();
        for channel in ["email", "push"] {
            operations.pause_channel(channel, "a story").await.unwrap();
        }
        let _ = app.dispatcher.enqueue(requested(canary)).await.unwrap();
        app.database.change_deliveries("expires_at = {earlier(1)}").await;
        let worker = Running::start(&app.dispatcher);
        app.eventually(async || tables_with(&app, canary).await.is_empty()).await;
        assert_eq!(app.database.deliveries("state = 'pending' and secret = ''").await, 2);
        for channel in ["email", "push"] {
            operations.resume_channel(channel).await.unwrap();
        }
        app.eventually(async || app.database.deliveries("state = 'expired'").await == 2).await;
        worker.stop().await;
        assert!(app.mails().is_empty());
        assert_kept_nowhere(&app, canary).await;
    }

    async fn an_error_stored_by_a_channel_does_not_contain_the_secret(app: App) {
        logging::collect();
        let canary = "canary-written-down";
        let said = format!("550 5.1.1 no {} here, nor in%3Ftoken%3D{canary}", link(canary));
        let cut = format!("{} {}", "x".repeat(450), link(canary));
        for (answer, said) in [
            (Refusal::Bounced, &said), (Refusal::Suspected, &said), (Refusal::Accepted, &said), (Refusal::Permanent, &cut),
        ] {
            let settings = EmailSettings::new("Tower <bells@example.com>", Refusing(answer, said.clone()));
            let dispatcher = app.builder().with(settings).build().unwrap();
            let _ = dispatcher.dispatch(requested(canary)).await.unwrap();
            assert_kept_nowhere(&app, canary).await;
            app.database.execute("delete from {campanile}email_suppressions").await;
        }
        let texts = "select coalesce(error, provider_id) from {campanile}notification_attempts where status is null";
        let texts = app.database.texts(texts).await;
        assert!(texts.iter().flatten().any(|text| text.contains("[secret]")), "{texts:?}");
    }

    async fn an_error_that_repeats_the_secret_is_stored_without_it(app: App) {
        logging::collect();
        let canary = "canary-repeated";
        let quoting = format!("no such page: {} (code {CODE}), in%3Ftoken%3D{canary}", link(canary));
        let mailer = Refusing(Refusal::Permanent, quoting);
        let dispatcher = app.builder().with(EmailSettings::new("Tower <bells@example.com>", mailer)).build().unwrap();
        let _ = dispatcher.dispatch(requested(canary)).await.unwrap();
        assert_kept_nowhere(&app, canary).await;
        let errors = app.database.texts("select error from {campanile}notification_attempts where error is not null").await;
        let error = errors[0].as_deref().unwrap();
        assert!(error.starts_with("no such page: [secret] (code [secret])"), "{error}");
    }

    async fn a_retried_batch_is_the_same_request(app: App) {
        let provider = Provider::start(Keys::Honoured).await;
        provider.follows(|ask| if ask.number == 0 { Behaviour::AcceptThenCut } else { Behaviour::Accept });
        let resend = campanile_email::Resend::at(&provider.url, "re_of_a_test".to_owned()).unwrap();
        let settings = EmailSettings::new("Tower <bells@example.com>", resend);
        let dispatcher = app.builder().with(settings).build().unwrap();
        let canary = "canary-batch";
        let event = LinkRequested { device: "laptop".into(), link: link(canary), code: CODE };
        let _ = dispatcher.enqueue(event.to(["u_ada", "u_bob", "u_cyd"])).await.unwrap();
        dispatcher.deliver_due(100).await.unwrap();
        app.database.advance_deliveries().await;
        dispatcher.deliver_due(100).await.unwrap();
        let requests = provider.ledger().entries;
        assert_eq!(requests.len(), 2);
        assert_eq!((&requests[0].key, requests[0].body), (&requests[1].key, requests[1].body));
        assert_kept_nowhere(&app, canary).await;
    }

    async fn reading_a_delivery_shows_only_that_there_is_a_secret(app: App) {
        let explained = app.dispatcher.explain(requested("canary-explained")).await.unwrap();
        let shown = serde_json::to_string(&explained).unwrap() + &format!("{explained:?}");
        assert!(!shown.contains("canary") && !shown.contains("918273645546372819"), "{shown}");
        assert!(explained.content["email"]["html"].contains("secret.invalid"), "{shown}");
        assert!(format!("{:?}", requested("canary-explained")).find("canary").is_none());
        let request: EventRequest = serde_json::from_value(serde_json::json!({
            "type": "auth.link.requested", "recipientUserIds": ["u_ada"],
            "payload": { "device": "laptop", "link": ["canary"], "code": 1 },
        })).unwrap();
        assert!(!format!("{request:?}").contains("canary"));
        let refused = app.dispatcher.dispatch(request).await.unwrap_err();
        assert!(refused.to_string().ends_with("field `link`: it does not fit its type"), "{refused}");
        let refused: EventRequest = serde_json::from_value(serde_json::json!({
            "type": "auth.link.requested", "recipientUserIds": ["u_ada"],
            "payload": { "device": "laptop", "link": "x", "code": "canary" },
        })).unwrap();
        let refused = app.dispatcher.dispatch(refused).await.unwrap_err();
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    }

    async fn two_secret_notices_without_a_subject_are_distinct_and_their_keys_reveal_nothing(app: App) {
        for _ in 0..2 {
            let report = app.dispatcher.dispatch(requested("canary-key")).await.unwrap();
            assert_eq!((report.sent, report.deduped), (3, 0));
        }
        assert_eq!(app.mails().len(), 2);
        let about = || LinkRequested { device: "a".into(), link: link("b"), code: 1 }.about("u_ada").to(["u_ada"]);
        assert_eq!(app.dispatcher.dispatch(about()).await.unwrap().deduped, 0);
        assert_eq!(app.dispatcher.dispatch(about()).await.unwrap().deduped, 1);
    }

    async fn a_host_that_rolls_back_leaves_no_secret_and_one_that_commits_sends_it(app: App) {
        let canary = "canary-within";
        for commits in [false, true] {
            each_database!(&app.database.database, |pool| {
                let mut transaction = pool.begin_with(app.begin()).await.unwrap();
                let _ = app.dispatcher.enqueue_in(&mut transaction, sent(canary)).await.unwrap();
                if commits {
                    transaction.commit().await.unwrap();
                } else {
                    transaction.rollback().await.unwrap();
                }
            });
            assert_eq!(tables_with(&app, canary).await.len(), usize::from(commits));
        }
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 1);
        assert_kept_nowhere(&app, canary).await;
    }
}

/// How a mail ends.
#[derive(Clone, Copy)]
enum Refusal {
    Permanent,
    Bounced,
    Suspected,
    Accepted,
}

/// Ends every mail with this verdict, and repeats its content in the error.
struct Refusing(Refusal, String);

#[campanile::async_trait]
impl campanile_email::Mailer for Refusing {
    async fn send(&self, mails: &[campanile_email::Mail]) -> Vec<Answer> {
        mails
            .iter()
            .map(|_| {
                let said = self.1.as_str();
                match self.0 {
                    Refusal::Permanent => Verdict::permanent(said).into(),
                    Refusal::Bounced => Answer::Bounced(said.into()),
                    Refusal::Suspected => Answer::Suspected(said.into()),
                    Refusal::Accepted => Answer::Judged(Verdict::Accepted {
                        provider_id: Some(said.to_owned()),
                    }),
                }
            })
            .collect()
    }

    fn capabilities(&self) -> campanile_email::Capabilities {
        campanile_email::Capabilities::default()
    }
}
