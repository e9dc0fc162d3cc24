//! The **requests** of Resend's API as bytes and keys: the same mails give the same bytes under the same key.
//!
//! <https://resend.com/docs/api-reference/emails/send-email> and `send-batch-emails`.

use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::mail::Mail;
use crate::mime::AUTO_SUBMITTED;

/// How many mails one request takes.
pub(super) const MOST_MAILS: usize = 100;

/// How much content one request takes, in bytes. Ours, not the provider's: it keeps the request within its time.
const MOST_BYTES: usize = 4 * 1024 * 1024;

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
    /// One mail under its own key, or several under a key made of theirs.
    pub(super) fn of(mails: &[&Mail]) -> Self {
        match mails {
            [mail] => Self {
                path: "emails",
                key: mail.idempotency_key.clone(),
                body: json(&Email::from(*mail)),
            },
            mails => Self {
                path: "emails/batch",
                key: batch_key(mails),
                body: json(
                    &mails
                        .iter()
                        .map(|mail| Email::from(*mail))
                        .collect::<Vec<_>>(),
                ),
            },
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("text serializes")
}

/// `cmp_batch_` and a hash of the members' keys in their order: other members, another key.
fn batch_key(mails: &[&Mail]) -> String {
    let mut hash = Sha256::new();
    for mail in mails {
        hash.update(mail.idempotency_key.as_bytes());
        hash.update(b"\n");
    }
    let mut key = String::from("cmp_batch_");
    for byte in hash.finalize() {
        write!(key, "{byte:02x}").expect("a string takes everything");
    }
    key
}

/// Groups mails into requests: those that may go together do, up to the limits of one request; then the others, alone.
pub(super) fn group(mails: &[Mail], together: &[bool]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    let may_join = |index: &usize| together[*index];
    for index in (0..mails.len()).filter(may_join) {
        let size = mails[index].size();
        match groups.last_mut() {
            Some(group) if group.len() < MOST_MAILS && size <= room => group.push(index),
            _ => {
                groups.push(vec![index]);
                room = MOST_BYTES;
            }
        }
        room = room.saturating_sub(size);
    }
    let alone = (0..mails.len()).filter(|index| !may_join(index));
    groups.extend(alone.map(|index| vec![index]));
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
    fn one_mail_goes_under_its_own_key() {
        let mut mail = mail("cmp_1", "<p>Hi</p>");
        mail.reply_to = Some("support@acme.example".parse().unwrap());
        let request = Request::of(&[&mail]);
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

    #[test]
    fn the_key_of_a_batch_is_its_members_in_their_order() {
        let (one, two, three) = (mail("cmp_1", "x"), mail("cmp_2", "x"), mail("cmp_3", "x"));
        let request = Request::of(&[&one, &two]);
        assert_eq!(request.path, "emails/batch");
        assert!(request.key.starts_with("cmp_batch_"));
        assert_eq!(request.key.len(), 74);
        assert_eq!(request, Request::of(&[&one, &two]));
        for other in [&[&two, &one][..], &[&one, &three], &[&one, &two, &three]] {
            assert_ne!(request.key, Request::of(other).key);
        }
    }

    #[test]
    fn mails_are_grouped_up_to_the_limits_of_a_request() {
        let mails: Vec<Mail> = (0..205)
            .map(|index| mail(&format!("cmp_{index}"), "x"))
            .collect();
        let sizes = |mails: &[Mail], together: &[bool]| -> Vec<usize> {
            group(mails, together).iter().map(Vec::len).collect()
        };
        let mut all: Vec<usize> = group(&mails, &[true; 205]).concat();
        all.sort_unstable();
        assert_eq!(all, (0..205).collect::<Vec<_>>());
        assert_eq!(sizes(&mails, &[true; 205]), [100, 100, 5]);
        assert_eq!(sizes(&mails[..3], &[true, false, true]), [2, 1]);
        let large = vec![mail("cmp_l", &"x ".repeat(400_000)); 3];
        assert_eq!(sizes(&large, &[true; 3]), [2, 1]);
    }
}
