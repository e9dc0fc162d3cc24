//! The **requests** of Resend's API as bytes and keys: the same mails give the same bytes under the same key.
//!
//! <https://resend.com/docs/api-reference/emails/send-email> and `send-batch-emails`.

use std::collections::VecDeque;

use serde::Serialize;

use crate::mail::Mail;
use crate::mime::AUTO_SUBMITTED;

/// The maximum number of mails in one request.
pub(super) const MAX_MAILS: usize = 100;

/// The maximum size of content in one request, in bytes. It is our limit, not the provider's: it keeps the request within its
/// timeout.
pub(super) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// One request, frozen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: &'static str,
    pub(super) key: String,
    pub(super) body: Vec<u8>,
}

/// The order of the fields is the order of the bytes.
#[derive(Serialize)]
struct Email<'a> {
    from: String,
    to: [&'a str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<[String; 1]>,
    subject: &'a str,
    html: &'a str,
    text: &'a str,
    headers: Headers,
}

#[derive(Serialize)]
struct Headers {
    #[serde(rename = "Auto-Submitted")]
    auto_submitted: &'static str,
}

impl<'a> From<&'a Mail> for Email<'a> {
    fn from(mail: &'a Mail) -> Self {
        Self {
            from: mail.from.to_string(),
            to: [mail.to.address()],
            reply_to: mail
                .reply_to
                .as_ref()
                .map(|reply_to| [reply_to.to_string()]),
            subject: &mail.subject,
            html: &mail.html,
            text: &mail.text,
            headers: Headers {
                auto_submitted: AUTO_SUBMITTED.1,
            },
        }
    }
}

impl Request {
    /// Mails that are sent together under one key, or one mail under its own key.
    pub(super) fn of(members: &Members, mails: &[Mail]) -> Self {
        let emails = members
            .mails
            .iter()
            .map(|index| Email::from(&mails[*index]));
        let emails: Vec<Email<'_>> = emails.collect();
        let (path, body) = match (members.form, &emails[..]) {
            (Form::Alone, [email]) => ("emails", json(email)),
            _ => ("emails/batch", json(&emails)),
        };
        Self {
            path,
            key: members.key.clone(),
            body,
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text serializes")
}

/// Which mails are in one request, and under which key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) key: String,
    pub(super) form: Form,
    /// Their indexes in the call.
    pub(super) mails: Vec<usize>,
}

/// The form of a request, and of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One mail.
    Alone,
    /// A list of mails, which may contain only one.
    Batch,
}

/// Groups the mails of one call into requests: those with the same batch key are sent together, and the others alone.
pub(super) fn group(mails: &[Mail]) -> VecDeque<Members> {
    let mut groups: VecDeque<Members> = VecDeque::new();
    for (index, mail) in mails.iter().enumerate() {
        let (key, form) = match &mail.batch_key {
            Some(key) => (key, Form::Batch),
            None => (&mail.idempotency_key, Form::Alone),
        };
        match groups.iter_mut().find(|group| group.key == *key) {
            Some(group) => group.mails.push(index),
            None => groups.push_back(Members {
                key: key.clone(),
                form,
                mails: vec![index],
            }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(key: &str, html: &str) -> Mail {
        Mail::new(
            key,
            "Acme <no-reply@acme.example>".parse().unwrap(),
            "Ada <ada@example.com>".parse().unwrap(),
            "Hello",
            html,
        )
    }

    #[test]
    fn a_single_mail_is_sent_under_its_own_key() {
        let mut mail = mail("cmp_1", "<p>Hi</p>");
        mail.reply_to = Some("support@acme.example".parse().unwrap());
        let mails = [mail];
        let request = Request::of(&group(&mails)[0], &mails);
        let [mail] = mails;
        assert_eq!((request.path, request.key.as_str()), ("emails", "cmp_1"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "from": "Acme <no-reply@acme.example>",
                "to": ["ada@example.com"],
                "reply_to": ["support@acme.example"],
                "subject": "Hello",
                "html": mail.html,
                "text": mail.text,
                "headers": {"Auto-Submitted": "auto-generated"},
            })
        );
    }

    fn batch(mails: &mut [Mail]) {
        for mail in mails {
            mail.batch_key = Some("cmp_batch_1".into());
        }
    }

    #[test]
    fn a_batch_is_sent_together_under_its_key() {
        let mut mails: Vec<Mail> = (0..100)
            .map(|index| mail(&format!("cmp_{index}"), "x"))
            .collect();
        batch(&mut mails);
        let groups = group(&mails);
        assert_eq!((groups.len(), groups[0].mails.len()), (1, 100));
        let request = Request::of(&groups[0], &mails);
        assert_eq!(
            (request.path, request.key.as_str()),
            ("emails/batch", "cmp_batch_1")
        );
    }

    #[test]
    fn the_last_remaining_mail_of_a_batch_is_still_sent_under_the_batch_key() {
        let mut mails = [mail("cmp_1", "x")];
        batch(&mut mails);
        let request = Request::of(&group(&mails)[0], &mails);
        assert_eq!(
            (request.path, request.key.as_str()),
            ("emails/batch", "cmp_batch_1")
        );
        assert!(request.body.starts_with(b"["));
    }
}
