//! A dispatch over the channel.

use campanile::Retry;
use campanile::channel::Verdict;
use campanile::{NotifiableEvent as _, Outcome};
use campanile_email::{Answer, Capture, EmailSettings, Suppressions};

use crate::app::{App, FROM, Left, Scripted, outcome};

fn accepting() -> Scripted {
    Scripted::new(|_| Verdict::accepted().into())
}

fn failed(reason: &str, retry: Retry) -> Outcome {
    Outcome::Failed {
        reason: reason.into(),
        retry,
    }
}

#[tokio::test]
async fn a_dispatch_becomes_a_mail() {
    let capture = Capture::in_memory();
    let settings = EmailSettings::new(FROM, capture.clone()).with_reply_to("support@acme.example");
    let app = App::new(settings).await;
    app.address("ada", "Ada@example.com").await;

    assert_eq!(app.welcome_one("ada").await, Outcome::Sent);

    let [captured] = &capture.mails()[..] else {
        panic!("one mail")
    };
    let mail = &captured.mail;
    assert_eq!(mail.from.to_string(), FROM);
    assert_eq!(
        mail.reply_to.as_ref().unwrap().address(),
        "support@acme.example"
    );
    assert_eq!(mail.to.address(), "Ada@example.com");
    assert_eq!(mail.subject, "Welcome, Ada & Co");
    assert!(mail.html.starts_with("<!doctype html>"), "{}", mail.html);
    assert!(
        mail.html.contains("<p>Hello <b>Ada &amp; Co</b></p>"),
        "{}",
        mail.html
    );
    assert!(mail.text.contains("Ada & Co"), "{}", mail.text);
    assert!(mail.idempotency_key.starts_with("cmp_"));
    assert_eq!(mail.attempt, 1);
}

#[tokio::test]
async fn an_events_own_document_and_text_are_sent_as_they_are() {
    let mailer = accepting();
    let app = App::new(EmailSettings::new(FROM, mailer.clone())).await;
    app.address("ada", "ada@example.com").await;

    let event = Left {
        name: "A & B".into(),
    };
    let _ = app.dispatcher.dispatch(event.to(["ada"])).await.unwrap();

    let [mail] = &mailer.asked()[..] else {
        panic!("one mail")
    };
    assert_eq!(
        mail.html,
        "<!doctype html><html><body>Bye, A &amp; B</body></html>"
    );
    assert_eq!(mail.text, "So long, A & B");
}

#[tokio::test]
async fn every_recipient_of_a_batch_has_an_outcome_of_its_own() {
    let mailer = Scripted::new(|mail| match mail.to.address() {
        "busy@example.com" => Verdict::retry("busy").into(),
        "odd@example.com" => Verdict::permanent("odd").into(),
        _ => Verdict::accepted().into(),
    });
    let addresses = [
        ("a", "ada@example.com"),
        ("b", "evil@example.com\r\nBcc: eve@example.com"),
        ("c", "busy@example.com"),
        ("d", "listed@example.com"),
        ("e", "odd@example.com"),
        ("f", "Zoë <zoe@bücher.example>"),
        ("g", "ada\0@example.com"),
    ];
    let settings = EmailSettings::new(FROM, mailer.clone());
    let app = App::with_addresses(settings, &addresses).await;
    let list = Suppressions::new(app.database.clone());
    list.add("Listed@Example.com", "by hand").await.unwrap();

    let report = app
        .welcome(&["a", "b", "c", "d", "e", "f", "g", "nobody"])
        .await;

    let of = |user| outcome(&report, user);
    assert_eq!(of("a"), Outcome::Sent);
    let injection = "the address holds the control character U+000D";
    assert_eq!(of("b"), failed(injection, Retry::Never));
    assert_eq!(of("c"), failed("busy", Retry::Scheduled));
    assert_eq!(of("d"), Outcome::SuppressedAddress);
    assert_eq!(of("e"), failed("odd", Retry::Never));
    assert_eq!(of("f"), Outcome::Sent);
    assert_eq!(
        of("g"),
        failed(
            "the address holds the control character U+0000",
            Retry::Never
        )
    );
    assert_eq!(of("nobody"), Outcome::Unreachable);
    let mut asked: Vec<String> = mailer
        .asked()
        .iter()
        .map(|mail| mail.to.to_string())
        .collect();
    asked.sort_unstable();
    let zoe = "Zoë <zoe@xn--bcher-kva.example>";
    assert_eq!(
        asked,
        [
            zoe,
            "ada@example.com",
            "busy@example.com",
            "odd@example.com"
        ]
    );
}

#[tokio::test]
async fn a_user_with_several_addresses_is_mailed_at_the_newest_that_can_be_used() {
    let mailer = accepting();
    let app = App::new(EmailSettings::new(FROM, mailer.clone())).await;
    let list = Suppressions::new(app.database.clone());
    app.address("ada", "old@example.com").await;
    app.address("ada", "new@example.com").await;
    app.welcome_one("ada").await;
    list.add("new@example.com", "by hand").await.unwrap();
    app.welcome_one("ada").await;
    app.address("ada", "no address").await;
    app.welcome_one("ada").await;
    list.add("old@example.com", "by hand").await.unwrap();

    assert_eq!(app.welcome_one("ada").await, Outcome::SuppressedAddress);
    let asked: Vec<_> = mailer
        .asked()
        .iter()
        .map(|mail| mail.to.to_string())
        .collect();
    assert_eq!(
        asked,
        ["new@example.com", "old@example.com", "old@example.com"]
    );
}

#[tokio::test]
async fn a_repeated_attempt_is_the_same_mail() {
    let mailer = Scripted::new(|mail| match mail.attempt {
        1 => Verdict::unknown("no answer").into(),
        _ => Verdict::accepted().into(),
    });
    let app = App::new(EmailSettings::new(FROM, mailer.clone())).await;
    app.address("ada", "ada@example.com").await;

    assert_eq!(
        app.welcome_one("ada").await,
        failed("no answer", Retry::Scheduled)
    );
    app.retry().await;

    let [first, second] = &mailer.asked()[..] else {
        panic!("two attempts")
    };
    assert_eq!((first.attempt, second.attempt), (1, 2));
    let mut again = second.clone();
    again.attempt = 1;
    assert!(*first == again);
}

#[tokio::test]
async fn without_the_suppression_list_nothing_is_sent() {
    let mailer = accepting();
    let app = App::new(EmailSettings::new(FROM, mailer.clone())).await;
    app.address("ada", "ada@example.com").await;
    app.execute("alter table campanile_email_suppressions rename to elsewhere")
        .await;

    let outcome = app.welcome_one("ada").await;
    let Outcome::Failed {
        reason,
        retry: Retry::Scheduled,
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(
        reason.starts_with("the suppression list did not answer"),
        "{reason}"
    );
    assert!(mailer.asked().is_empty());

    app.execute("alter table elsewhere rename to campanile_email_suppressions")
        .await;
    app.retry().await;
    assert_eq!(mailer.asked().len(), 1);
}

#[tokio::test]
async fn an_address_that_bounced_is_not_mailed_again() {
    let mailer = Scripted::new(|_| Answer::Bounced("550 5.1.1 no such user".into()));
    let app = App::new(EmailSettings::new(FROM, mailer.clone())).await;
    app.address("ada", "Ada@Example.com").await;

    assert_eq!(
        app.welcome_one("ada").await,
        failed("550 5.1.1 no such user", Retry::Never)
    );
    assert_eq!(app.welcome_one("ada").await, Outcome::SuppressedAddress);

    assert_eq!(mailer.asked().len(), 1);
    let list = Suppressions::new(app.database.clone());
    let reason = list.reason("ada@example.com").await.unwrap();
    assert_eq!(reason.as_deref(), Some("bounced: 550 5.1.1 no such user"));
}

#[tokio::test]
async fn a_mailer_that_miscounts_spoils_no_verdict() {
    struct Silent;

    #[campanile::async_trait]
    impl campanile_email::Mailer for Silent {
        async fn send(&self, _: &[campanile_email::Mail]) -> Vec<Answer> {
            Vec::new()
        }

        fn capabilities(&self) -> campanile_email::Capabilities {
            campanile_email::Capabilities::default()
        }
    }

    let app = App::new(EmailSettings::new(FROM, Silent)).await;
    app.address("ada", "ada@example.com").await;
    assert_eq!(
        app.welcome_one("ada").await,
        failed(
            "the mailer returned 0 answers for 1 mails",
            Retry::Scheduled
        )
    );
}

#[tokio::test]
async fn a_forgotten_user_is_forgotten_here_too() {
    let app = App::new(EmailSettings::new(FROM, accepting())).await;
    app.address("ada", "Ada@example.com").await;
    app.address("bob", "bob@example.com").await;
    let list = Suppressions::new(app.database.clone());
    for address in ["ada@example.com", "bob@example.com"] {
        list.add(address, "by hand").await.unwrap();
    }

    app.dispatcher
        .operations()
        .forget_user("ada")
        .await
        .unwrap();

    assert!(!list.contains("ada@example.com").await.unwrap());
    assert!(list.contains("bob@example.com").await.unwrap());
}

#[test]
fn a_mail_is_composed_while_every_blocking_thread_is_busy() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let capture = Capture::in_folder(folder.path()).unwrap();
        let app = App::new(EmailSettings::new(FROM, capture.clone())).await;
        app.address("ada", "ada@example.com").await;
        let (release, held) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv());

        assert_eq!(app.welcome_one("ada").await, Outcome::Sent);

        release.send(()).unwrap();
        busy.await.unwrap().unwrap();
        assert_eq!(capture.mails().len(), 1);
    });
}
