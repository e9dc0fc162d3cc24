//! Rejections by a mail server: an error of the sender suppresses nobody, and everybody is reached once it is fixed.

use std::time::Duration;

use campanile::Retry;
use campanile::{DispatchReport, Dispatcher, NotifiableEvent as _, Outcome};
use campanile_tests::smtp::{Script, SmtpServer};
use campanile_tests::{App, both_databases};

const A_DAY_AND_AN_HOUR: i64 = 25 * 3_600 * 1_000_000;

/// Twenty people, and a dispatcher that mails them over this server.
struct Post {
    app: App,
    server: SmtpServer,
    dispatcher: Dispatcher,
    people: Vec<String>,
}

impl Post {
    async fn of(app: App) -> Self {
        let server = SmtpServer::start().await;
        let dispatcher = app.builder().with(server.settings()).build().unwrap();
        let people: Vec<String> = (0..20).map(|number| format!("u{number}")).collect();
        for user in &people {
            app.address(user, "email", &format!("{user}@example.com"))
                .await;
        }
        Self {
            app,
            server,
            dispatcher,
            people,
        }
    }

    /// The server rejects recipients with this text.
    fn refuses(&self, recipient: &str) {
        let recipient = recipient.to_owned();
        self.server.says(Script {
            recipient,
            ..Script::default()
        });
    }

    /// Sends everybody a critical mail.
    async fn mail(&self, people: &[String]) -> DispatchReport {
        self.dispatcher
            .dispatch(self.app.password_changed().to(people))
            .await
            .unwrap()
    }

    async fn listed(&self) -> i64 {
        self.app.database.count("email_suppressions").await
    }

    async fn attempts_that_count(&self) -> i64 {
        let counted = "select coalesce(max({int(attempt - uncounted)}), 0) from {campanile}notification_deliveries where channel = 'email'";
        self.app.database.number(counted).await
    }

    /// The server accepts mails again, and an operator resumes the channel.
    async fn repair(&self) {
        self.server.says(Script::default());
        self.dispatcher
            .operations()
            .resume_channel("email")
            .await
            .unwrap();
    }

    async fn deliver_all(&self) {
        for _ in 0..4 {
            self.app.database.advance_deliveries().await;
            self.dispatcher.deliver_due(100).await.unwrap();
        }
    }

    /// How many of the people have been sent at least this many mails.
    fn reached(&self, mails: usize) -> usize {
        let taken = self.server.taken();
        let of = |user: &&String| {
            taken
                .iter()
                .filter(|mail| mail.to == format!("{user}@example.com"))
                .count()
        };
        self.people.iter().filter(|user| of(user) >= mails).count()
    }
}

/// How many mails are not retried.
fn given_up(report: &DispatchReport) -> usize {
    let outcomes = report.outcomes.iter().map(|line| &line.outcome);
    outcomes
        .filter(|outcome| {
            matches!(
                outcome,
                Outcome::Failed {
                    retry: Retry::Never,
                    ..
                }
            )
        })
        .count()
}

both_databases! {
    async fn a_rejection_of_the_sender_pauses_the_channel_and_suppresses_nobody(app: App) {
        let post = Post::of(app).await;
        let mut mails = 0;
        for words in [
            "550 relay not permitted",
            "550 198.51.100.7 is blocked using zen.dnsbl",
            "550-Verification failed for <bells@example.com>\r\n550 Sender verify failed",
            "554 5.7.1 <u@example.com>: Relay access denied",
        ] {
            post.refuses(words);
            let report = post.mail(&post.people).await;
            assert_eq!(given_up(&report), 0, "{words}: {report:?}");
            assert_eq!(post.listed().await, 0, "{words}");
            let paused = post.app.database.count("notification_worker_pauses").await;
            assert_eq!(paused, 1, "{words}");
            post.repair().await;
            let _ = post.mail(&post.people).await;
            post.deliver_all().await;
            mails += 2;
            assert_eq!(post.reached(mails), 20, "{words}: both mails arrive, and everybody's");
        }
        assert_eq!(post.app.database.count("email_suspects").await, 0);
        assert_eq!(post.attempts_that_count().await, 1);
    }

    async fn a_greeting_that_rejects_the_client_pauses_the_channel(app: App) {
        let post = Post::of(app).await;
        let greeting = "554 5.7.1 no service for 198.51.100.7".into();
        post.server.says(Script { greeting, ..Script::default() });
        let _ = post.mail(&post.people).await;
        post.repair().await;
        post.deliver_all().await;
        assert_eq!((post.listed().await, post.reached(1)), (0, 20));
    }

    async fn a_quota_error_after_the_message_is_retried_and_suppresses_nobody(app: App) {
        let mut post = Post::of(app).await;
        let message = "550 5.1.90 Your message can't be sent because you've reached your daily limit".into();
        post.server.says(Script { message, ..Script::default() });
        let report = post.mail(&post.people).await;
        assert_eq!(given_up(&report), 0, "{report:?}");
        assert_eq!(post.listed().await, 0);
        post.server.says(Script::default());
        // Another process: the one that hit the quota sends slowly for a few seconds.
        post.dispatcher = post.app.builder().with(post.server.settings()).build().unwrap();
        let _ = post.mail(&post.people).await;
        post.deliver_all().await;
        assert_eq!(post.reached(2), 20);
    }

    async fn a_code_about_the_address_suppresses_it(app: App) {
        let post = Post::of(app).await;
        post.refuses("550-5.1.1 There is no such mailbox.\r\n550 5.1.1 Ask its owner.");
        let report = post.mail(&post.people[..1]).await;
        assert_eq!(given_up(&report), 1, "{report:?}");
        post.repair().await;
        let report = post.mail(&post.people[..1]).await;
        assert!(report.outcomes.iter().any(|line| line.outcome == Outcome::SuppressedAddress), "{report:?}");
        assert_eq!(post.listed().await, 1);
    }

    async fn a_bare_550_suppresses_only_if_it_is_repeated_on_another_day(app: App) {
        let post = Post::of(app).await;
        let (one, another) = (&post.people[..1], &post.people[1..2]);
        post.refuses("550 no");
        for _ in 0..3 {
            assert_eq!(given_up(&post.mail(one).await), 1);
        }
        let _ = post.mail(another).await;
        assert_eq!((post.listed().await, post.app.database.count("email_suspects").await), (0, 2));
        // An accepted mail removes the suspicion.
        post.server.says(Script::default());
        let _ = post.mail(another).await;
        assert_eq!(post.app.database.count("email_suspects").await, 1);
        let by = post.app.database.span_of(A_DAY_AND_AN_HOUR);
        let a_day_later = format!("update {{campanile}}email_suspects set created_at = created_at - {by}");
        post.app.database.execute(&a_day_later).await;
        post.refuses("550 no");
        let _ = post.mail(one).await;
        let _ = post.mail(another).await;
        assert_eq!(post.listed().await, 1);
        let list = campanile_email::Suppressions::new(post.app.database.database.clone());
        assert!(list.contains("u0@example.com").await.unwrap());
    }

    async fn a_server_that_rejects_every_recipient_is_the_senders_fault(app: App) {
        let post = Post::of(app).await;
        for words in ["550 5.1.1 no such user", "550 no"] {
            let before = post.server.taken().len();
            post.refuses(words);
            let report = post.mail(&post.people).await;
            // Nine failed permanently before it was detected.
            assert_eq!(given_up(&report), 9, "{words}: {report:?}");
            assert_eq!(post.listed().await, 0, "{words}");
            assert_eq!(post.app.database.count("email_suspects").await, 0, "{words}");
            post.repair().await;
            let report = post.mail(&post.people).await;
            assert_eq!(report.suppressed_addresses, 0, "{words}");
            post.deliver_all().await;
            assert_eq!(post.server.taken().len() - before, 20 + 11, "{words}");
        }
    }

    async fn a_server_that_replies_to_the_message_after_nine_seconds_gets_one_copy(app: App) {
        let mut post = Post::of(app).await;
        // The channel's own timeout applies, and not the builder's, which limits how long a dispatch waits.
        let builder = post.app.builder().with(post.server.settings()).attempt_timeout(Duration::from_secs(2));
        post.dispatcher = builder.build().unwrap();
        post.server.says(Script { thinks: Duration::from_secs(9), ..Script::default() });
        let _ = post.mail(&post.people[..1]).await;
        // A running delivery is not due.
        assert_eq!(post.dispatcher.deliver_due(100).await.unwrap().claimed, 0);
        let delivered = "select count(*) from {campanile}notification_deliveries where channel = 'email' and state = 'delivered'";
        post.app.eventually(async || post.app.database.number(delivered).await == 1).await;
        post.deliver_all().await;
        assert_eq!(post.server.taken().len(), 1);
    }
}
