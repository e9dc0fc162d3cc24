//! Which mails share a request, and what a lost answer leads to.

use std::time::Duration;

use campanile::channel::{ErrorClass, Verdict};
use campanile_email::{Mail, Mailer as _};
use serde_json::{Value, json};
use wiremock::{Request, ResponseTemplate};

use crate::resend::{answering, batch, mails, resend, send, words};
use crate::wire::{Act, serve};

fn ids(mails: usize) -> Value {
    let ids: Vec<Value> = (0..mails)
        .map(|number| json!({"id": format!("id_{number}")}))
        .collect();
    json!({"data": ids})
}

fn again(mails: &[Mail]) -> Vec<Mail> {
    let mut mails = mails.to_vec();
    for mail in &mut mails {
        mail.attempt += 1;
    }
    mails
}

fn key(request: &Request) -> &str {
    request.headers["idempotency-key"].to_str().unwrap()
}

#[tokio::test]
async fn a_hundred_mails_are_one_request() {
    let answer = ResponseTemplate::new(200).set_body_json(ids(100));
    let server = answering(answer).await;
    let resend = resend(&server.uri());
    assert_eq!(resend.capabilities().max_batch, 100);

    let verdicts = send(&resend, &batch(0..100)).await;

    for (number, verdict) in verdicts.iter().enumerate() {
        let Verdict::Accepted { provider_id } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(*provider_id, Some(format!("id_{number}")));
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url.path(), "/emails/batch");
    assert_eq!(requests[0].headers["x-batch-validation"], "permissive");
    assert_eq!(key(&requests[0]), "cmp_batch_1");
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(body[99]["to"], json!(["user99@example.com"]));
}

#[tokio::test]
async fn an_invalid_mail_does_not_spoil_its_batch() {
    let answer = json!({
        "data": [{"id": "id_0"}, {"id": "id_2"}],
        "errors": [{"index": 1, "message": "Invalid `to` field: user1@example.com"}],
    });
    let server = answering(ResponseTemplate::new(200).set_body_json(answer)).await;

    let verdicts = send(&resend(&server.uri()), &batch(0..3)).await;

    assert_eq!(words(&verdicts), ["accepted", "permanent", "accepted"]);
    assert_eq!(
        verdicts[1].error().unwrap().to_string(),
        "Resend refused this mail of a batch: Invalid `to` field: [address]"
    );
    let Verdict::Accepted { provider_id } = &verdicts[2] else {
        unreachable!()
    };
    assert_eq!(provider_id.as_deref(), Some("id_2"));
}

#[tokio::test]
async fn the_mails_of_a_refused_batch_come_again_one_by_one() {
    let server = answering(ResponseTemplate::new(422)).await;
    for verdict in send(&resend(&server.uri()), &batch(0..3)).await {
        assert!(matches!(verdict, Verdict::Retry { .. }), "{verdict:?}");
        assert_eq!(verdict.error_class(), Some(ErrorClass::Refused));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_gateway_lost_of_a_mail_alone_is_unknown() {
    for status in [502, 504, 522, 409] {
        let server = answering(ResponseTemplate::new(status)).await;
        let verdicts = send(&resend(&server.uri()), &mails(0..1)).await;
        assert_eq!(words(&verdicts), ["unknown"], "{status}");
    }
}

#[tokio::test]
async fn a_batch_that_comes_again_is_the_same_request() {
    for lost in [
        Act::Close,
        Act::Reply(429, "", String::new()),
        Act::Reply(502, "", String::new()),
        Act::Reply(200, "", "{}".into()),
        Act::Endless(200),
    ] {
        let reply = Act::Reply(200, "", ids(2).to_string());
        let (url, requests) = serve(vec![lost, reply]).await;
        send(&resend(&url), &batch(0..2)).await;
        // From another process.
        let verdicts = send(&resend(&url), &again(&batch(0..2))).await;
        assert_eq!(words(&verdicts), ["accepted"; 2]);
        let requests = requests.all();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0], requests[1]);
    }
}

#[tokio::test]
async fn a_batch_whose_answer_is_lost_is_unknown() {
    for lost in [
        Act::Close,
        Act::Reply(504, "", String::new()),
        Act::Endless(200),
    ] {
        let (url, _) = serve(vec![lost]).await;
        assert_eq!(
            words(&send(&resend(&url), &batch(0..2)).await),
            ["unknown"; 2]
        );
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_says_that_the_first_was_taken() {
    let body = json!({"name": "invalid_idempotent_request", "message": "Same key, other payload"});
    let server = answering(ResponseTemplate::new(409).set_body_json(body)).await;
    for mails in [mails(0..1), batch(0..3)] {
        for verdict in send(&resend(&server.uri()), &mails).await {
            assert_eq!(
                verdict.error_class(),
                Some(ErrorClass::Conflict),
                "{verdict:?}"
            );
        }
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn mails_without_a_batch_key_go_alone() {
    let server = answering(ResponseTemplate::new(200).set_body_json(json!({"id": "x"}))).await;
    let verdicts = send(&resend(&server.uri()), &again(&mails(0..3))).await;
    assert_eq!(words(&verdicts), ["accepted"; 3]);
    let requests = server.received_requests().await.unwrap();
    let keys: Vec<&str> = requests.iter().map(key).collect();
    assert_eq!(keys, ["cmp_0", "cmp_1", "cmp_2"]);
}

#[tokio::test]
async fn after_a_rate_limit_the_rest_is_not_tried() {
    let answer = ResponseTemplate::new(429).insert_header("retry-after", "7");
    let server = answering(answer).await;
    let verdicts = send(&resend(&server.uri()), &again(&mails(0..5))).await;
    for verdict in &verdicts {
        let Verdict::Retry { after, error } = verdict else {
            panic!("{verdict:?}")
        };
        assert_eq!(*after, Some(Duration::from_secs(7)));
        assert_eq!(error.status(), Some(429));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_does_not_fit_into_the_time_is_not_begun() {
    let answer = ResponseTemplate::new(200).set_body_json(ids(3));
    let server = answering(answer).await;
    let resend = resend(&server.uri()).with_timeout(Duration::ZERO);
    assert_eq!(words(&send(&resend, &mails(0..3)).await), ["retry"; 3]);
    assert!(server.received_requests().await.unwrap().is_empty());
}
