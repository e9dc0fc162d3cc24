//! The SMTP mailer against a real server process.

use std::time::Duration;

use campanile::channel::Verdict;
use campanile_email::{Answer, Mail, Mailer as _, Smtp};

use crate::smtp_server::SmtpServer;

fn mail(to: &str) -> Mail {
    Mail::new(
        "cmp_018f0000-0000-7000-8000-000000000001",
        "Acme <no-reply@acme.example>".parse().unwrap(),
        to.parse().unwrap(),
        "Grüße, Ada",
        "<p>Hello <b>Ada</b>, 2 &lt; 3.</p>\n<p>.</p>",
    )
}

async fn send(smtp: &Smtp, mail: Mail) -> Answer {
    let mut answers = smtp.send(&[mail]).await;
    answers.pop().unwrap()
}

fn message_of(answer: &Answer) -> String {
    answer
        .verdict()
        .error()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[tokio::test]
async fn a_mail_arrives_whole() {
    let server = SmtpServer::start(&[]);
    let smtp = Smtp::new(server.url()).unwrap();
    let mut mail = mail("Ada <Ada@bücher.example>");
    mail.reply_to = Some("support@acme.example".parse().unwrap());

    let answer = send(&smtp, mail).await;

    let Answer::Judged(Verdict::Accepted { provider_id }) = &answer else {
        panic!("{answer:?}")
    };
    assert_eq!(provider_id.as_deref(), Some("2.0.0 Ok: queued as 1"));
    let [message] = &server.messages()[..] else {
        panic!("one message")
    };
    assert_eq!(message.from(), "no-reply@acme.example");
    assert_eq!(message.to(), ["Ada@xn--bcher-kva.example"]);
    for (name, value) in [
        ("From", "Acme <no-reply@acme.example>"),
        ("Reply-To", "support@acme.example"),
        ("To", "Ada <Ada@xn--bcher-kva.example>"),
        ("Subject", "=?utf-8?b?R3LDvMOfZSw=?= Ada"),
        (
            "Message-ID",
            "<cmp_018f0000-0000-7000-8000-000000000001@acme.example>",
        ),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ] {
        assert_eq!(message.header(name).as_deref(), Some(value), "{name}");
    }
    assert!(message.header("Date").is_some());
    let [(text_head, text), (html_head, html)] = &message.parts()[..] else {
        panic!("two parts: {}", message.data())
    };
    assert!(
        text_head.contains("text/plain; charset=utf-8"),
        "{text_head}"
    );
    assert!(text.contains("2 < 3."), "{text}");
    assert!(
        html_head.contains("text/html; charset=utf-8"),
        "{html_head}"
    );
    assert!(html.contains("<p>.</p>"), "{html}");
}

#[tokio::test]
async fn a_line_with_a_dot_does_not_end_the_message() {
    let server = SmtpServer::start(&[]);
    let smtp = Smtp::new(server.url()).unwrap();
    let mut mail = mail("ada@example.com");
    mail.text = "one\n.\n..two\n.\nthree".into();
    send(&smtp, mail).await;
    let messages = server.messages();
    assert_eq!(
        messages[0].parts()[0].1,
        "one\r\n.\r\n..two\r\n.\r\nthree\r\n"
    );
}

#[tokio::test]
async fn each_refusal_has_its_class_and_the_session_goes_on() {
    let server = SmtpServer::start(&[]);
    let smtp = Smtp::new(server.url()).unwrap();
    send(&smtp, mail("first@example.com")).await;

    let bounced = send(&smtp, mail("bounce@example.com")).await;
    assert!(matches!(bounced, Answer::Bounced(_)), "{bounced:?}");
    assert_eq!(bounced.verdict().error().unwrap().status(), Some(550));
    assert_eq!(
        message_of(&bounced),
        "sending `RCPT TO` to the SMTP server: 550 5.1.1 [address] Recipient address rejected: no such user"
    );
    let full = send(&smtp, mail("full@example.com")).await;
    assert!(
        matches!(full, Answer::Judged(Verdict::Permanent { .. })),
        "{full:?}"
    );
    let greylisted = send(&smtp, mail("greylist@example.com")).await;
    assert!(
        matches!(greylisted, Answer::Judged(Verdict::Retry { .. })),
        "{greylisted:?}"
    );
    let spam = send(&smtp, mail("spam@example.com")).await;
    assert!(
        matches!(spam, Answer::Judged(Verdict::Permanent { .. })),
        "{spam:?}"
    );
    let later = send(&smtp, mail("later@example.com")).await;
    assert!(
        matches!(later, Answer::Judged(Verdict::Retry { .. })),
        "{later:?}"
    );
    let mut forbidden = mail("ada@example.com");
    forbidden.from = "forbidden@acme.example".parse().unwrap();
    let forbidden = send(&smtp, forbidden).await;
    assert!(
        matches!(forbidden, Answer::Judged(Verdict::Misconfigured { .. })),
        "{forbidden:?}"
    );

    send(&smtp, mail("last@example.com")).await;
    let messages = server.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].connection(), messages[1].connection());
}

#[tokio::test]
async fn silence_before_the_message_is_tried_again_and_after_it_is_unknown() {
    let server = SmtpServer::start(&[]);
    let smtp = Smtp::new(server.url())
        .unwrap()
        .with_step_timeout(Duration::from_millis(1_500))
        .with_reply_timeout(Duration::from_millis(1_500));

    let slow = send(&smtp, mail("slow@example.com")).await;
    assert!(
        matches!(slow, Answer::Judged(Verdict::Retry { .. })),
        "{slow:?}"
    );
    assert_eq!(
        message_of(&slow),
        "sending `RCPT TO` to the SMTP server: no answer in time"
    );
    let lost = send(&smtp, mail("lost@example.com")).await;
    assert!(
        matches!(lost, Answer::Judged(Verdict::Unknown { .. })),
        "{lost:?}"
    );
    let cut = send(&smtp, mail("hangup@example.com")).await;
    assert!(
        matches!(cut, Answer::Judged(Verdict::Unknown { .. })),
        "{cut:?}"
    );

    // Neither left a session behind that the next mail would stumble over.
    let fine = send(&smtp, mail("ada@example.com")).await;
    assert!(
        matches!(fine, Answer::Judged(Verdict::Accepted { .. })),
        "{fine:?}"
    );
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let server = SmtpServer::start(&[]);
    let smtp = Smtp::new(server.url()).unwrap();
    send(&smtp, mail("ada@example.com")).await;
    drop(server);

    let refused = send(&smtp, mail("ada@example.com")).await;
    assert!(
        matches!(refused, Answer::Judged(Verdict::Retry { .. })),
        "{refused:?}"
    );
    assert!(
        message_of(&refused).starts_with("connecting to the SMTP server: "),
        "{refused:?}"
    );
}

#[tokio::test]
async fn many_mails_at_once_share_eight_sessions() {
    let server = SmtpServer::start(&[]);
    let smtp = std::sync::Arc::new(Smtp::new(server.url()).unwrap());
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..40 {
        let smtp = std::sync::Arc::clone(&smtp);
        sending.spawn(async move { send(&smtp, mail(&format!("user{number}@example.com"))).await });
    }
    for answer in sending.join_all().await {
        assert!(
            matches!(answer, Answer::Judged(Verdict::Accepted { .. })),
            "{answer:?}"
        );
    }
    let messages = server.messages();
    let connections: std::collections::BTreeSet<_> = messages
        .iter()
        .map(crate::smtp_server::Message::connection)
        .collect();
    assert_eq!(messages.len(), 40);
    assert!(connections.len() <= 8, "{}", connections.len());
}

#[tokio::test]
async fn logging_in_works_and_a_wrong_password_is_the_set_up() {
    let server = SmtpServer::start(&["--login", "ada@example.com:p/w"]);
    let url = |login: &str| format!("smtp://{login}127.0.0.1:{}", server.port);
    let smtp = Smtp::new(url("ada%40example.com:p%2Fw@")).unwrap();
    let answer = send(&smtp, mail("ada@example.com")).await;
    assert!(
        matches!(answer, Answer::Judged(Verdict::Accepted { .. })),
        "{answer:?}"
    );

    for login in ["ada%40example.com:wrong@", ""] {
        let smtp = Smtp::new(url(login)).unwrap();
        let answer = send(&smtp, mail("ada@example.com")).await;
        assert!(
            matches!(answer, Answer::Judged(Verdict::Misconfigured { .. })),
            "{answer:?}"
        );
    }
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
    let plain = SmtpServer::start(&[]);
    let smtp = Smtp::new(plain.url()).unwrap();
    let answer = send(&smtp, mail("jörg@example.com")).await;
    assert!(
        matches!(answer, Answer::Judged(Verdict::Permanent { .. })),
        "{answer:?}"
    );

    let utf8 = SmtpServer::start(&["--utf8"]);
    let smtp = Smtp::new(utf8.url()).unwrap();
    let answer = send(&smtp, mail("jörg@example.com")).await;
    assert!(
        matches!(answer, Answer::Judged(Verdict::Accepted { .. })),
        "{answer:?}"
    );
    assert_eq!(utf8.messages()[0].to(), ["jörg@example.com"]);
}

#[tokio::test]
async fn a_server_elsewhere_that_does_not_encrypt_hears_nothing() {
    let server = SmtpServer::start(&["--login", "ada:pw"]);
    // A spelling of 127.0.0.1 that only the resolver understands: it leads here, and is not known to.
    let smtp = Smtp::new(format!("smtp://ada:pw@127.1:{}", server.port)).unwrap();
    let answer = send(&smtp, mail("ada@example.com")).await;
    assert!(
        matches!(answer, Answer::Judged(Verdict::Misconfigured { .. })),
        "{answer:?}"
    );
    let expected = "connecting to the SMTP server: the server does not offer STARTTLS";
    assert_eq!(message_of(&answer), expected);
    assert!(server.messages().is_empty());
}
