//! The Resend mailer against a scripted HTTP server.

use std::time::Duration;

use campanile::channel::Verdict;
use campanile_email::{Answer, Mail, Mailer as _, Resend};
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::wire::{Act, serve};

pub(crate) fn mail(number: usize) -> Mail {
    Mail::new(
        format!("cmp_{number}"),
        "Acme <no-reply@acme.example>".parse().unwrap(),
        format!("user{number}@example.com").parse().unwrap(),
        "Hello",
        "<p>Hi</p>",
    )
}

pub(crate) fn mails(numbers: std::ops::Range<usize>) -> Vec<Mail> {
    numbers.map(mail).collect()
}

/// The same as one batch.
pub(crate) fn batch(numbers: std::ops::Range<usize>) -> Vec<Mail> {
    let mut mails = mails(numbers);
    for mail in &mut mails {
        mail.batch_key = Some("cmp_batch_1".into());
    }
    mails
}

pub(crate) fn resend(url: &str) -> Resend {
    Resend::at(url, "re_key").unwrap()
}

pub(crate) async fn send(resend: &Resend, mails: &[Mail]) -> Vec<Verdict> {
    resend
        .send(mails)
        .await
        .iter()
        .map(Answer::verdict)
        .collect()
}

/// The classes of verdicts as words, for comparison.
pub(crate) fn words(verdicts: &[Verdict]) -> Vec<&'static str> {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Accepted { .. } => "accepted",
        Verdict::Retry { .. } => "retry",
        Verdict::Permanent { .. } => "permanent",
        Verdict::Misconfigured { .. } => "misconfigured",
        Verdict::Unknown { .. } => "unknown",
        _ => "another",
    };
    verdicts.iter().map(word).collect()
}

pub(crate) async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn one_mail_is_one_request_under_the_key_of_its_delivery() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/emails"))
        .and(header("authorization", "Bearer re_key"))
        .and(header("content-type", "application/json"))
        .and(header("idempotency-key", "cmp_1"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"id": "id_1"})))
        .expect(1)
        .mount(&server)
        .await;

    let verdicts = send(&resend(&server.uri()), &[mail(1)]).await;

    let [Verdict::Accepted { provider_id }] = &verdicts[..] else {
        panic!("{verdicts:?}")
    };
    assert_eq!(provider_id.as_deref(), Some("id_1"));
    let requests = server.received_requests().await.unwrap();
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(body["from"], "Acme <no-reply@acme.example>");
    assert_eq!(body["to"], json!(["user1@example.com"]));
    assert_eq!(body["subject"], "Hello");
    assert!(body["html"].as_str().unwrap().contains("<p>Hi</p>"));
    assert!(body["text"].as_str().unwrap().contains("Hi"));
}

#[tokio::test]
async fn a_slow_answer_is_unknown() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_mins(1));
    let server = answering(slow).await;
    let resend = resend(&server.uri()).with_timeout(Duration::from_secs(1));
    for mails in [mails(0..1), batch(1..3)] {
        let verdicts = send(&resend, &mails).await;
        assert_eq!(words(&verdicts), vec!["unknown"; mails.len()]);
        let error = verdicts[0].error().unwrap().to_string();
        assert_eq!(error, "no answer from Resend: it took too long");
    }
}

#[tokio::test]
async fn nobody_listening_is_tried_again() {
    let (url, _) = serve(Vec::new()).await;
    let verdicts = send(&resend(&url), &mails(0..1)).await;
    assert_eq!(words(&verdicts), ["retry"]);
    let error = verdicts[0].error().unwrap().to_string();
    assert!(error.starts_with("no connection to Resend: "), "{error}");
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    for (status, expected) in [(200, "accepted"), (500, "retry"), (403, "misconfigured")] {
        let (url, _) = serve(vec![Act::Endless(status)]).await;
        let verdicts = send(&resend(&url), &mails(0..1)).await;
        assert_eq!(words(&verdicts), [expected]);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = MockServer::start().await;
    for status in [301, 307, 308] {
        let answer = ResponseTemplate::new(status).insert_header("location", elsewhere.uri());
        let server = answering(answer).await;
        let verdicts = send(&resend(&server.uri()), &mails(0..1)).await;
        assert_eq!(words(&verdicts), ["misconfigured"]);
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn each_answer_has_its_class() {
    for (status, name, expected) in [
        (200, "", "accepted"),
        (202, "", "accepted"),
        (400, "validation_error", "permanent"),
        (401, "missing_api_key", "misconfigured"),
        (403, "validation_error", "misconfigured"),
        (404, "not_found", "misconfigured"),
        (408, "", "retry"),
        (409, "concurrent_idempotent_requests", "unknown"),
        (409, "invalid_idempotent_request", "permanent"),
        (413, "", "permanent"),
        (422, "invalid_from_address", "misconfigured"),
        (422, "missing_required_field", "permanent"),
        (429, "daily_quota_exceeded", "retry"),
        (500, "internal_server_error", "retry"),
        (503, "", "retry"),
    ] {
        let body = json!({"name": name, "message": "Words.", "statusCode": status});
        let server = answering(ResponseTemplate::new(status).set_body_json(body)).await;
        let verdicts = send(&resend(&server.uri()), &mails(0..1)).await;
        assert_eq!(words(&verdicts), [expected], "{status} {name}");
        if let Some(error) = verdicts[0].error() {
            assert_eq!(error.status(), Some(status));
            assert!(error.to_string().contains(name) && error.to_string().contains("Words."));
        }
    }
}
