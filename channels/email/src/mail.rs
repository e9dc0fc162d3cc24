//! A **mail** is what a mailer sends: two mailboxes, a subject, an HTML part and a text part.
//!
//! It is built only from frozen parts, so that a retry sends the same mail. It does not depend on a provider.

use std::fmt;
use std::time::SystemTime;

use crate::body;
use crate::mailbox::{Mailbox, one_line};

/// One mail to one recipient, ready to be sent.
///
/// `Debug` shows the key and the attempt: no address, no content.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail {
    /// The same in every attempt of one delivery, and different for every other delivery: `cmp_{delivery id}`.
    pub idempotency_key: String,
    /// The key of the batch, if it is sent together with others: the same for all mails of one call, and for every retry of the
    /// batch.
    pub batch_key: Option<String>,
    /// The first attempt is 1.
    pub attempt: u32,
    /// When the notification was admitted; the same in every attempt.
    pub composed_at: SystemTime,
    /// The sender.
    pub from: Mailbox,
    /// The recipient of replies, if not the sender.
    pub reply_to: Option<Mailbox>,
    /// The recipient.
    pub to: Mailbox,
    /// One line.
    pub subject: String,
    /// A complete HTML document.
    pub html: String,
    /// The same for readers without HTML.
    pub text: String,
}

impl Mail {
    /// A mail for a first attempt: the subject becomes one line, an HTML fragment becomes a complete document, and the text part
    /// is derived from the HTML.
    ///
    /// ```
    /// use campanile_email::Mail;
    ///
    /// # fn main() -> Result<(), campanile_email::InvalidMailbox> {
    /// let mail = Mail::new("cmp_1", "no-reply@example.com".parse()?, "ada@example.com".parse()?, "Hi\n", "<p>Hello <b>Ada</b></p>");
    /// assert_eq!(mail.subject, "Hi");
    /// assert!(mail.html.starts_with("<!doctype html>"));
    /// assert_eq!(mail.text.trim(), "Hello Ada");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(
        idempotency_key: impl Into<String>,
        from: Mailbox,
        to: Mailbox,
        subject: &str,
        html: &str,
    ) -> Self {
        Self::with_text(
            idempotency_key.into(),
            from,
            to,
            subject,
            html,
            body::text(html),
        )
    }

    /// The same with a text part; if the text is empty, the subject takes its place.
    pub(crate) fn with_text(
        idempotency_key: String,
        from: Mailbox,
        to: Mailbox,
        subject: &str,
        html: &str,
        text: Option<String>,
    ) -> Self {
        let subject = one_line(subject);
        Self {
            idempotency_key,
            batch_key: None,
            attempt: 1,
            composed_at: SystemTime::now(),
            from,
            reply_to: None,
            to,
            html: body::document(&subject, html),
            text: text.unwrap_or_else(|| subject.clone()),
            subject,
        }
    }

    /// Its approximate size in a request.
    pub(crate) fn size(&self) -> usize {
        self.subject.len() + self.html.len() + self.text.len()
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("idempotency_key", &self.idempotency_key)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_one_line_and_the_debug_form_shows_no_content() {
        let mail = Mail::new(
            "cmp_1",
            "no-reply@example.com".parse().unwrap(),
            "ada@example.com".parse().unwrap(),
            "Hello\r\nBcc: eve@example.com\0",
            "<p>secret</p>",
        );
        assert_eq!(mail.subject, "Hello  Bcc: eve@example.com");
        assert_eq!(
            format!("{mail:?}"),
            r#"Mail { idempotency_key: "cmp_1", attempt: 1, .. }"#
        );
    }
}
