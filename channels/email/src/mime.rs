//! **MIME**: a mail as the bytes of an internet message.
//!
//! The same mail gives the same bytes: the date is the notification's, and the boundary and the message id are derived from its
//! key.

use campanile::channel::DeliveryError;
use lettre::Message;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};

use crate::mail::Mail;

/// Marks the mail as automatic, so that vacation responders do not answer (RFC 3834).
pub(crate) const AUTO_SUBMITTED: (&str, &str) = ("Auto-Submitted", "auto-generated");

#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str(AUTO_SUBMITTED.0)
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), AUTO_SUBMITTED.1.to_owned())
    }
}

/// The message with both parts, HTML last: readers take the last one they understand (RFC 2046, section 5.1.4).
pub(crate) fn bytes(mail: &Mail) -> Result<Vec<u8>, DeliveryError> {
    let key = token(&mail.idempotency_key);
    let mut message = Message::builder()
        .date(mail.composed_at)
        .message_id(Some(format!("<{key}@{}>", mail.from.domain())))
        .from(mail.from.to_header())
        .to(mail.to.to_header())
        .subject(mail.subject.clone())
        .header(AutoSubmitted);
    if let Some(reply_to) = &mail.reply_to {
        message = message.reply_to(reply_to.to_header());
    }
    let parts = MultiPart::alternative()
        .boundary(format!("=_{key}"))
        .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
        .singlepart(part(ContentType::TEXT_HTML, &mail.html));
    message
        .multipart(parts)
        .map(|message| message.formatted())
        .map_err(|_| DeliveryError::new("the mail cannot be encoded as a message"))
}

fn part(content_type: ContentType, content: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        .body(content.to_owned())
}

/// The key without characters that need quoting in a header or a file name.
pub(crate) fn token(key: &str) -> String {
    key.replace(
        |character: char| !character.is_ascii_alphanumeric() && !matches!(character, '_' | '-'),
        "_",
    )
}
