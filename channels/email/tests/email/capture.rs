//! Mails in memory and in a folder.

use campanile::channel::Verdict;
use campanile_email::{Answer, Capture, Mail, Mailer as _};

fn mail(key: &str, html: &str) -> Mail {
    Mail::new(
        key,
        "Acme <no-reply@acme.example>".parse().unwrap(),
        "Ada <ada@example.com>".parse().unwrap(),
        "Grüße",
        html,
    )
}

#[tokio::test]
async fn captured_mails_are_read_back_in_order() {
    let capture = Capture::in_memory();
    capture
        .send(&[mail("cmp_1", "one"), mail("cmp_2", "two")])
        .await;
    capture.clone().send(&[mail("cmp_3", "three")]).await;

    let keys: Vec<String> = capture
        .mails()
        .into_iter()
        .map(|captured| captured.mail.idempotency_key)
        .collect();
    assert_eq!(keys, ["cmp_1", "cmp_2", "cmp_3"]);
    capture.clear();
    assert!(capture.mails().is_empty());
}

#[tokio::test]
async fn the_memory_is_bounded_in_mails_and_in_bytes() {
    let capture = Capture::in_memory();
    let mails: Vec<Mail> = (0..1_003)
        .map(|number| mail(&format!("cmp_{number}"), "x"))
        .collect();
    capture.send(&mails).await;
    assert_eq!(capture.mails().len(), 1_000);
    assert_eq!(capture.mails()[0].mail.idempotency_key, "cmp_3");

    let mut large = mail("cmp_large", "x");
    large.html = "x".repeat(20 * 1024 * 1024);
    capture
        .send(&[large.clone(), large.clone(), large.clone(), large])
        .await;
    assert_eq!(capture.mails().len(), 3);
}

#[tokio::test]
async fn a_folder_gets_one_file_for_each_mail_whatever_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture::in_folder(folder.path().join("mails")).unwrap();
    capture
        .send(&[mail("cmp_1", "<p>Hi</p>"), mail("../../escape", "x")])
        .await;

    let mails = capture.mails();
    let file = mails[0].file.as_ref().unwrap();
    assert_eq!(*file, folder.path().join("mails/cmp_1.eml"));
    let text = std::fs::read_to_string(file).unwrap();
    for line in [
        "From: Acme <no-reply@acme.example>\r\n",
        "To: Ada <ada@example.com>\r\n",
        "Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n",
        "Message-ID: <cmp_1@acme.example>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let escaped = mails[1].file.as_ref().unwrap();
    assert_eq!(*escaped, folder.path().join("mails/______escape.eml"));
}

#[tokio::test]
async fn the_same_mail_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture::in_folder(folder.path()).unwrap();
    let file = folder.path().join("cmp_1.eml");
    let mail = mail("cmp_1", "<p>Hi</p>");
    capture.send(std::slice::from_ref(&mail)).await;
    let first = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    capture.send(&[mail]).await;
    assert!(first == std::fs::read(&file).unwrap());
}

#[tokio::test]
async fn a_folder_that_is_gone_is_a_failed_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let capture = Capture::in_folder(folder.path().join("mails")).unwrap();
    std::fs::remove_dir(folder.path().join("mails")).unwrap();
    let answers = capture.send(&[mail("cmp_1", "x")]).await;
    assert!(
        matches!(&answers[..], [Answer::Judged(Verdict::Retry { .. })]),
        "{answers:?}"
    );
    assert!(capture.mails().is_empty());
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_at_start_up() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Capture::in_folder(file.path().join("mails")).unwrap_err();
    assert!(error.to_string().contains("cannot be created"), "{error}");
}
