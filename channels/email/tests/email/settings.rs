//! What is missing or wrong is said at start-up.

use std::collections::HashMap;

use campanile::Dispatcher;
use campanile_email::{Capture, EmailSettings};

use crate::app::{FROM, database};

fn from(variables: &[(&str, &str)]) -> Result<EmailSettings, String> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    EmailSettings::from_variables(|name| variables.get(name).map(ToString::to_string))
        .map_err(|error| error.to_string())
}

const SENDER: &str = "CAMPANILE_EMAIL_SENDER";
const FROM_VARIABLE: (&str, &str) = ("CAMPANILE_EMAIL_FROM", FROM);

#[test]
fn each_sender_is_set_up_from_variables() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for variables in [
        &[(SENDER, "capture")][..],
        &[(SENDER, "capture"), ("CAMPANILE_EMAIL_CAPTURE_DIR", folder)],
        &[
            (SENDER, "smtp"),
            ("CAMPANILE_SMTP_URL", "smtps://ada:pw@mail.example"),
        ],
        &[(SENDER, "resend"), ("CAMPANILE_RESEND_API_KEY", "re_1")],
        &[
            (SENDER, "resend"),
            ("CAMPANILE_RESEND_API_KEY", "re_1"),
            ("CAMPANILE_RESEND_URL", "http://localhost:1"),
        ],
    ] {
        let variables = [
            &[FROM_VARIABLE, ("CAMPANILE_EMAIL_REPLY_TO", "a@b.example")],
            variables,
        ]
        .concat();
        let settings = from(&variables).unwrap();
        assert_eq!(settings.from, FROM);
        assert_eq!(settings.reply_to.as_deref(), Some("a@b.example"));
    }
}

#[test]
fn what_is_missing_is_named_both_ways_and_all_at_once() {
    let error = from(&[("CAMPANILE_EMAIL_FROM", "")]).unwrap_err();
    for hint in [
        "`CAMPANILE_EMAIL_FROM`",
        "`CAMPANILE_EMAIL_SENDER=capture|smtp|resend`",
        ".with(EmailSettings::new(",
    ] {
        assert!(error.contains(hint), "{hint}: {error}");
    }
    for (sender, variable, code) in [
        ("smtp", "`CAMPANILE_SMTP_URL`", "Smtp::new(url)"),
        ("resend", "`CAMPANILE_RESEND_API_KEY`", "Resend::new(key)"),
    ] {
        let error = from(&[FROM_VARIABLE, (SENDER, sender)]).unwrap_err();
        assert!(error.contains(variable) && error.contains(code), "{error}");
    }
}

#[test]
fn what_is_wrong_is_said_without_secrets() {
    for (variables, expected) in [
        (
            &[(SENDER, "pigeon")][..],
            "may be `capture`, `smtp` or `resend`",
        ),
        (
            &[(SENDER, "smtp"), ("CAMPANILE_SMTP_URL", "hunter2")],
            "an SMTP URL is",
        ),
        (
            &[
                (SENDER, "resend"),
                ("CAMPANILE_RESEND_API_KEY", "hunter2\n"),
            ],
            "the Resend API key",
        ),
        (
            &[
                (SENDER, "resend"),
                ("CAMPANILE_RESEND_API_KEY", "hunter2"),
                ("CAMPANILE_RESEND_URL", "http://api.resend.com"),
            ],
            "the URL of Resend's API",
        ),
    ] {
        let error = from(&[&[FROM_VARIABLE], variables].concat()).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn bad_mailboxes_stop_the_build_both_at_once() {
    let settings =
        EmailSettings::new("Acme", Capture::in_memory()).with_reply_to("a@b\r\nBcc: c@d");
    let built = Dispatcher::builder()
        .database(database().await)
        .with(settings)
        .build();
    let error = built.unwrap_err().to_string();
    assert!(
        error.contains("the `from` of mails is refused: the address has no `@`"),
        "{error}"
    );
    assert!(
        error.contains("the `reply_to` of mails is refused"),
        "{error}"
    );
    assert!(error.contains("channel `email`"), "{error}");
}

#[tokio::test]
async fn without_settings_the_environment_is_read() {
    // The test's environment has none of the variables.
    let built = Dispatcher::builder().database(database().await).build();
    let error = built.unwrap_err().to_string();
    assert!(error.contains("`CAMPANILE_EMAIL_FROM`"), "{error}");
}
