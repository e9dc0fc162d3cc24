//! Which mails share a request, and what a lost answer leads to.

use std::time::Duration;

use campanile::delivery::Verdict;
use campanile_email::{Mail, Mailer as _};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, Request, ResponseTemplate};

use crate::resend::{answering, mails, resend, send, words};
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
    assert_eq!(resend.max_batch(), 100);

    let verdicts = send(&resend, &mails(0..100)).await;

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
    assert!(key(&requests[0]).starts_with("cmp_batch_"));
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

    let verdicts = send(&resend(&server.uri()), &mails(0..3)).await;

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
async fn a_batch_that_is_refused_is_tried_one_by_one() {
    let server = answering(ResponseTemplate::new(422)).await;
    let resend = resend(&server.uri());
    let first = mails(0..3);
    assert_eq!(words(&send(&resend, &first).await), ["retry"; 3]);
    server.reset().await;
    let answer = |request: &Request| {
        let status = if key(request) == "cmp_1" { 422 } else { 200 };
        ResponseTemplate::new(status).set_body_json(json!({"id": "x"}))
    };
    Mock::given(path("/emails"))
        .respond_with(answer)
        .mount(&server)
        .await;

    let verdicts = send(&resend, &again(&first)).await;

    assert_eq!(words(&verdicts), ["accepted", "permanent", "accepted"]);
}

#[tokio::test]
async fn a_batch_that_was_surely_not_taken_comes_again_as_a_batch() {
    for answer in [
        ResponseTemplate::new(429),
        ResponseTemplate::new(503),
        ResponseTemplate::new(401),
    ] {
        let server = answering(answer).await;
        let resend = resend(&server.uri());
        let first = mails(0..3);
        send(&resend, &first).await;
        server.reset().await;
        let answer = ResponseTemplate::new(200).set_body_json(ids(4));
        Mock::given(path("/emails/batch"))
            .respond_with(answer)
            .mount(&server)
            .await;

        let together = [again(&first), mails(3..4)].concat();
        assert_eq!(words(&send(&resend, &together).await), ["accepted"; 4]);
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_batch_is_asked_for_once_more() {
    let reply = Act::Reply(200, "", ids(2).to_string());
    let (url, requests) = serve(vec![Act::Close, reply]).await;

    let verdicts = send(&resend(&url), &mails(0..2)).await;

    assert_eq!(words(&verdicts), ["accepted"; 2]);
    let requests = requests.all();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1]);
}

#[tokio::test]
async fn a_batch_whose_answer_stays_lost_comes_again_mail_by_mail() {
    for lost in [
        vec![Act::Close, Act::Close],
        vec![Act::Close, Act::Reply(429, "", String::new())],
        vec![
            Act::Reply(502, "", String::new()),
            Act::Reply(504, "", String::new()),
        ],
        vec![Act::Reply(200, "", "{}".into()), Act::Endless(200)],
    ] {
        let alone = || Act::Reply(200, "", r#"{"id": "x"}"#.into());
        let script = [lost, vec![alone(), alone()]];
        let (url, requests) = serve(script.into_iter().flatten().collect()).await;
        let resend = resend(&url);
        let first = mails(0..2);

        assert_eq!(words(&send(&resend, &first).await), ["unknown"; 2]);
        assert_eq!(words(&send(&resend, &again(&first)).await), ["accepted"; 2]);

        let requests = requests.all();
        assert_eq!(requests.len(), 4);
        for (request, key) in requests[2..].iter().zip(["cmp_0", "cmp_1"]) {
            assert!(request.starts_with("POST /emails HTTP/1.1"), "{request}");
            assert!(
                request.contains(&format!("idempotency-key: {key}\r\n")),
                "{request}"
            );
        }
    }
}

#[tokio::test]
async fn another_process_tries_repeated_mails_alone() {
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
